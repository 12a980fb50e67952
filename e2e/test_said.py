"""What a request says of itself, in headers and in metadata: nobody gets by without it, nobody says another's."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from e2e import tokens
from e2e.client import Answer, Client, assert_refused
from e2e.conftest import Serve
from e2e.stacks import Stack
from e2e.stacks.local import EnvoyStack
from llmroute import names
from tests.policies import header, limit, route, rule, text, with_spec

USERS: Final = [header(names.USER_HEADER, "Distinct")]
REJECT: Final = {"onMissing": "Reject"}
BODY: Final = json.dumps({"model": "m", "messages": []}).encode()
SPACE: Final = "envoy.filters.http.jwt_authn"
PLAN: Final[dict[str, Any]] = {"type": "Dynamic", "name": SPACE, "paths": [{"key": tokens.PROVIDER}, {"key": "plan"}]}


def known_users(shadowed: str = "Token") -> str:
    """20 tokens a day for each user, 2 of something in the shadow, 1000 requests, and nobody without a name."""
    limits = [limit(20, unit="Day"), limit(2, shadowed, "Day", shadow=True), limit(1000, "Request", "Day")]
    return text(with_spec(route(rule(*limits, headers=USERS)), identity=REJECT))


def assert_nobody(client: Client, answer: Answer, *users: str) -> None:
    """401, the upstream never saw it, no counter moved."""
    assert (answer.status, answer.served) == (401, None), answer.body
    assert answer.headers["content-type"] == "application/json"
    counts = [client.stack.used(i, user) for user in (names.ANONYMOUS, names.UNKNOWN, *users) for i in range(3)]
    assert counts == [0] * len(counts)


@pytest.mark.parametrize("sent", [[], [""], ["", ""]], ids=["none", "empty", "twice-empty"])
def test_nobody_is_refused(serve: Serve, sent: list[str]) -> None:
    """Every method and API, in its own shape, with a body of any length; who says who they are passes."""
    client = serve(known_users())
    headers = [(names.USER_HEADER, value) for value in sent]
    assert client.send(BODY, headers=headers).json()["error"]["code"] == "invalid_api_key"
    assert_nobody(client, client.send(BODY + b" " * 3_000_000, headers=headers))
    assert_nobody(client, client.send(b'{"model":"m","stream":true,"messages":[]}', headers=headers))
    for method in ("GET", "HEAD", "OPTIONS", "DELETE"):
        assert_nobody(client, client.send(b"", headers=headers, method=method, path="/v1/models"))
    answer = client.send(BODY, headers=headers, path="/v1/messages")
    assert_nobody(client, answer)
    assert answer.json()["error"]["type"] == "authentication_error"
    answer = client.send(BODY, headers=headers, path="/v1beta/models/g:generateContent")
    assert_nobody(client, answer)
    assert answer.json()["error"]["status"] == "UNAUTHENTICATED"
    assert client.chat(7).status == 200
    assert client.settled(7) == 7


def test_nobody_is_no_request_in_the_shadow_either(serve: Serve, stack: Stack) -> None:
    """Such a limit is charged at the end of a request, and this one never began."""
    if not isinstance(stack, EnvoyStack):
        pytest.skip("missing capability: the gateway takes a number as the cost of an answer from a file")
    client = serve(known_users("Request"))
    assert_nobody(client, client.send(BODY))
    assert client.chat(7).status == 200
    assert client.settled(1, 1) == 1


def test_blanks_and_what_no_counter_can_be_named_after(serve: Serve) -> None:
    """White space and bytes that are no UTF-8 are no name."""
    client = serve(known_users())
    assert_nobody(client, client.send_padded(BODY, " \t "))
    assert_nobody(client, client.send_padded(BODY, b"\xff\xc3".decode("latin-1")))


@pytest.mark.parametrize("name", ["x-user-id", "X-USER-ID", "X-User-Id"])
def test_a_name_is_one_however_it_is_sent(serve: Serve, name: str) -> None:
    """Twice, in another case, with blanks around it: the same counter, used up once, refused by that count."""
    client = serve(known_users())
    assert client.send(BODY, headers=[(name, ""), (name, client.user), (name, "somebody-else")]).status == 200
    assert client.settled(37) == 37
    assert_refused(client.send_padded(BODY, f"  {client.user}\t"))
    assert_refused(client.send(BODY, headers=[(name, client.user), (name, "fresh")]))
    assert [client.stack.used(0, user) for user in (client.user, "somebody-else", "fresh")] == [37, 0, 0]


def by_plan(default: str | None = None) -> str:
    """20 tokens a day for each plan that a token names, and 5 for the plan ``trial``."""
    match = PLAN | ({"defaultValue": default} if default else {})
    rules = [
        rule(limit(20, unit="Day"), metadata=[match]),
        rule(limit(5, unit="Day"), metadata=[match | {"value": "trial"}]),
    ]
    return text(with_spec(route(*rules), identity={"jwt": {"provider": tokens.provider()}}))


def carrying(**claims: Any) -> list[tuple[str, str]]:
    """The header of a token."""
    return [("authorization", f"Bearer {tokens.token(sub='someone', **claims)}")]


def metadata_header(answer: Answer) -> tuple[str, list[str]]:
    """The filter's header for the claim, and its values."""
    assert answer.served
    found = [(n, v) for n, v in answer.served.headers if n.startswith(names.METADATA_HEADER_PREFIX)]
    return found[0][0], [value for _, value in found]


@pytest.mark.parametrize(
    ("claim", "value"), [("gold", "gold"), (42, "42"), (1.5, "1.5"), (True, "true"), ("é…", "é…"), (" blue ", "blue")]
)
def test_jwt_claim(serve: Serve, claim: Any, value: str) -> None:
    """The seventh original case: the claim chooses the counter; another claim has another."""
    client = serve(by_plan())
    answer = client.send(BODY, headers=carrying(plan=claim))
    assert answer.status == 200
    assert client.settled(37, 0, value) == 37
    assert_refused(client.send(BODY, headers=carrying(plan=claim)))
    assert client.send(BODY, headers=carrying(plan="another")).status == 200
    assert client.settled(37, 0, "another") == 37
    assert client.stack.used(0, value) == 37


@pytest.mark.parametrize("default", [None, "none-at-all"])
def test_without_the_claim_the_default_counts(serve: Serve, default: str | None) -> None:
    """No token, none of that claim, or one that is no plain value: one counter, that of the default."""
    client = serve(by_plan(default))
    expected = default or names.UNKNOWN
    assert client.send(BODY).status == 200
    assert client.settled(37, 0, expected) == 37
    for headers in ([], carrying(), carrying(plan=["gold"]), carrying(plan=""), carrying(plan={"a": 1})):
        assert_refused(client.send(BODY, headers=headers))
    assert client.stack.used(0, expected) == 37


def test_a_client_cannot_say_its_own_metadata(serve: Serve) -> None:
    """The header that stands for the claim is overwritten, however often it is sent, with a token and without."""
    client = serve(by_plan())
    name, values = metadata_header(client.send(BODY, headers=carrying(plan="silver")))
    assert values == ["silver"]
    forged = [(name, "mine"), (name, "mine-too"), (name.upper(), "gold")]
    assert metadata_header(client.send(BODY, headers=[*forged, *carrying(plan="gold")]))[1] == ["gold"]
    assert metadata_header(client.send(BODY, headers=forged))[1] == [names.UNKNOWN]
    assert [client.stack.used(0, value) for value in ("mine", "mine-too")] == [0, 0]


def test_a_value_chooses_its_rule(serve: Serve) -> None:
    """``trial`` meets the rule that names it; both count it."""
    client = serve(by_plan())
    assert client.send(BODY, headers=carrying(plan="trial")).status == 200
    assert client.settled(37, 1) == 37
    assert client.settled(37, 0, "trial") == 37
    assert_refused(client.send(BODY, headers=carrying(plan="trial")))
    assert client.send(BODY, headers=carrying(plan="gold")).status == 200
    assert client.settled(37, 0, "gold") == 37
    assert (client.stack.used(1), client.stack.used(0, "trial")) == (37, 37)
