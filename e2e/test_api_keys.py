"""Who asks, by an API key: the client of that key, and nothing that it writes beside it counts."""

from __future__ import annotations

import base64
from typing import Any, Final

import pytest

from e2e.client import CHAT, assert_refused
from e2e.conftest import Serve
from e2e.identities import USERS, ask, assert_unidentified, bearer, fresh, users_seen
from llmroute import names
from tests.policies import limit, route, rule, text

LIMIT: Final = rule(limit(20, unit="Day"), headers=USERS)
KEYS: Final = {"amy": "key-of-amy", "ben": "key-of-ben"}
SECRETS: Final[list[dict[str, Any]]] = [
    {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "in-text", "namespace": "default"},
        "stringData": {"amy": KEYS["amy"]},
    },
    {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "in-base64", "namespace": "default"},
        "data": {"ben": base64.b64encode(KEYS["ben"].encode()).decode()},
    },
]


def by_key() -> str:
    """A policy in which each client with an API key has 20 tokens a day."""
    policy = route(LIMIT)
    places = [{"headers": ["x-api-key", "authorization"]}, {"params": ["key"]}, {"cookies": ["llm"]}]
    refs = [{"name": secret["metadata"]["name"]} for secret in SECRETS]
    policy["spec"]["identity"] = {"apiKey": {"credentialRefs": refs, "extractFrom": places}}
    return text(policy, *SECRETS)


@pytest.mark.parametrize(
    ("headers", "path"),
    [
        ([("x-api-key", KEYS["amy"])], CHAT),
        ([bearer(KEYS["amy"])], CHAT),
        ([("cookie", f"llm={KEYS['amy']}")], CHAT),
        ([], f"{CHAT}?key={KEYS['amy']}"),
    ],
    ids=["header", "bearer", "cookie", "parameter"],
)
def test_a_key_says_which_client_asks(serve: Serve, headers: list[tuple[str, str]], path: str) -> None:
    """Wherever it is; whatever the client says beside it. The key does not go on to the backend."""
    client = serve(by_key())
    victim = fresh("victim")
    answer = ask(client, (names.USER_HEADER, victim), *headers, (names.USER_HEADER, "ben"), path=path)
    assert (answer.status, users_seen(answer)) == (200, ["amy"])
    assert client.settled(37, 0, "amy") == 37
    assert [client.stack.used(0, user) for user in (victim, "ben", names.ANONYMOUS)] == [0, 0, 0]
    assert answer.served
    assert KEYS["amy"] not in f"{answer.served.path} {answer.served.headers}"


def test_each_client_has_a_counter_of_its_own(serve: Serve) -> None:
    """One is used up and refused; the other, whose key is in another Secret, is not concerned."""
    client = serve(by_key())
    assert ask(client, ("x-api-key", KEYS["amy"])).status == 200
    assert client.settled(37, 0, "amy") == 37
    assert_refused(ask(client, ("x-api-key", KEYS["amy"])))
    assert ask(client, ("x-api-key", KEYS["ben"])).status == 200
    assert client.settled(37, 0, "ben") == 37


@pytest.mark.parametrize(
    "headers",
    [[], [("x-api-key", "guessed")], [("x-api-key", "")], [("x-api-key", "amy")], [(names.USER_HEADER, "amy")]],
    ids=["none", "wrong", "empty", "name", "header-alone"],
)
def test_without_a_key_of_a_client_nothing_passes(serve: Serve, headers: list[tuple[str, str]]) -> None:
    """401; nobody is charged."""
    client = serve(by_key())
    assert_unidentified(ask(client, *headers))
    assert [client.stack.used(0, user) for user in ("amy", "ben", names.ANONYMOUS, "guessed")] == [0] * 4
