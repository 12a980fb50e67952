"""Who asks, by a token: a verified one says so, and nothing that a client writes beside it counts."""

from __future__ import annotations

import base64
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from e2e import tokens
from e2e.client import assert_refused
from e2e.conftest import Serve
from e2e.identities import USERS, ask, assert_unidentified, bearer, fresh, users_seen
from llmroute import names
from tests.policies import limit, route, rule, text

LIMIT: Final = rule(limit(20, unit="Day"), headers=USERS)


def by_token(**identity: Any) -> str:
    """A policy in which each subject of a token has 20 tokens a day."""
    policy = route(LIMIT)
    policy["spec"]["identity"] = {"jwt": {"provider": tokens.provider()}} | identity
    return text(policy)


def test_each_subject_has_a_counter_of_its_own(serve: Serve) -> None:
    """One is used up and refused; the other is not concerned."""
    client = serve(by_token())
    amy, ben = fresh("amy"), fresh("ben")
    assert ask(client, bearer(tokens.token(sub=amy))).status == 200
    assert client.settled(37, 0, amy) == 37
    assert_refused(ask(client, bearer(tokens.token(sub=amy))))
    assert ask(client, bearer(tokens.token(sub=ben))).status == 200
    assert client.settled(37, 0, ben) == 37
    assert client.stack.used(0, amy) == 37


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("name", ["x-user-id", "X-USER-ID"])
def test_with_a_token_the_clients_own_header_counts_for_nothing(serve: Serve, name: str, times: int) -> None:
    """However often and however it is written: the subject pays, the one named does not."""
    client = serve(by_token())
    amy, victim = fresh("amy"), fresh("victim")
    answer = ask(client, *[(name, victim)] * times, bearer(tokens.token(sub=amy)))
    assert (answer.status, users_seen(answer)) == (200, [amy])
    assert client.settled(37, 0, amy) == 37
    assert client.stack.used(0, victim) == 0


def test_without_a_token_the_clients_own_header_counts_for_nothing(serve: Serve) -> None:
    """All such clients are one user, anonymous."""
    client = serve(by_token())
    victim = fresh("victim")
    answer = ask(client, (names.USER_HEADER, victim))
    assert (answer.status, users_seen(answer)) == (200, [names.ANONYMOUS])
    assert client.settled(37, 0, names.ANONYMOUS) == 37
    assert client.stack.used(0, victim) == 0
    assert_refused(ask(client, (names.USER_HEADER, fresh("another"))))


def unsigned(user: str) -> str:
    """A token that says that it needs no signature."""
    claims = {"iss": tokens.ISSUER, "aud": tokens.AUDIENCE, "sub": user}
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in ({"alg": "none"}, claims)]
    return b".".join([*parts, b""]).decode()


BAD: Final[dict[str, Callable[[str], str]]] = {
    "expired": lambda user: tokens.token(sub=user, expires_in=-3600),
    "foreign-key": lambda user: tokens.token(sub=user, signed_by="foreign"),
    "unknown-key": lambda user: tokens.token(sub=user, signed_by="foreign", called="foreign"),
    "other-issuer": lambda user: tokens.token(sub=user, iss="https://elsewhere.example.com"),
    "other-audience": lambda user: tokens.token(sub=user, aud="somebody-else"),
    "unsigned": unsigned,
    "cut-off": lambda user: tokens.token(sub=user)[:-4],
    "no-token": lambda _: "sk-not-a-token",
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_token_is_no_token(serve: Serve, kind: str) -> None:
    """401, also where a missing one would do (a good one for somebody else is Envoy's 403); nobody is charged."""
    client = serve(by_token())
    user = fresh("user")
    answer = ask(client, bearer(BAD[kind](user)), (names.USER_HEADER, user))
    assert (answer.status, answer.served) == (403 if kind == "other-audience" else 401, None), answer.body
    assert (client.stack.used(0, user), client.stack.used(0, names.ANONYMOUS)) == (0, 0)


@pytest.mark.parametrize(
    ("claims", "user"),
    [
        ({"realm": {"tenant": "acme"}}, "acme"),
        ({"realm": {"tenant": 42}}, "42"),
        ({"realm": {"tenant": True}}, "true"),
        ({"realm": {"tenant": ["a"]}}, names.ANONYMOUS),
        ({"realm": "flat"}, names.ANONYMOUS),
        ({"realm.tenant": "dotted"}, names.ANONYMOUS),
        ({}, names.ANONYMOUS),
    ],
)
def test_the_claim_may_be_deep_inside(serve: Serve, claims: dict[str, Any], user: str) -> None:
    """What is no plain value there is nobody's name."""
    client = serve(by_token(jwt={"provider": tokens.provider(), "claim": "realm.tenant"}))
    answer = ask(client, bearer(tokens.token(sub="not-this-one", **claims)))
    assert (answer.status, users_seen(answer)) == (200, [user])
    assert client.settled(37, 0, user) == 37


def test_who_does_not_say_is_refused_where_they_have_to(serve: Serve) -> None:
    """``onMissing: Reject``: no token, or none with a subject, is a 401 in the API's shape; with one it passes."""
    client = serve(by_token(onMissing="Reject"))
    amy = fresh("amy")
    for headers in ([], [(names.USER_HEADER, amy)], [bearer(tokens.token(sub=None)), (names.USER_HEADER, amy)]):
        answer = ask(client, *headers)
        assert_unidentified(answer)
        assert answer.json()["error"]["code"] == "invalid_api_key"
    assert (client.stack.used(0, amy), client.stack.used(0, names.ANONYMOUS)) == (0, 0)
    assert ask(client, bearer(tokens.token(sub=amy))).status == 200
    assert client.settled(37, 0, amy) == 37


@pytest.fixture
def keys_url() -> Iterator[str]:
    """Where the provider's keys can be fetched."""

    class Keys(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = tokens.key_set().encode()
            self.send_response(200)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Nothing: a test's output is for what fails."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Keys) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/jwks.json"
        server.shutdown()
        thread.join()


def test_keys_may_be_fetched(serve: Serve, keys_url: str, pytestconfig: pytest.Config) -> None:
    """A token of the provider passes, one of somebody else's does not."""
    if pytestconfig.getoption("--stack") in {"docker", "kind"}:
        pytest.skip("missing capability: a gateway that reaches this machine's loopback, where the keys are")
    client = serve(by_token(jwt={"provider": tokens.provider(remoteJWKS={"uri": keys_url})}))
    amy = fresh("amy")
    answer = ask(client, bearer(tokens.token(sub=amy)))
    assert (answer.status, users_seen(answer)) == (200, [amy])
    assert client.settled(37, 0, amy) == 37
    assert_unidentified(ask(client, bearer(tokens.token(sub=amy, signed_by="foreign"))))
