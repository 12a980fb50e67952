"""Checks of ``spec.identity``: each with a policy that has the fault, the finding for it, and its place."""

from __future__ import annotations

from typing import Any

import pytest

from llmroute.diagnostic import Severity
from llmroute.targets import COMPOSE, ENVOY, ENVOY_GATEWAY
from tests.policies import USER, findings, header, limit, route, rule, with_spec
from tests.unit.test_check import backend

KEYS = '{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}'
INLINE = {"name": "p", "localJWKS": {"inline": KEYS}}
JWT = {"provider": INLINE, "claim": "sub"}
API_KEY = {"credentialRefs": [{"name": "keys"}]}
POLICY = route(rule(limit(1), headers=[header(USER, "Distinct")]))


def secret(**fields: Any) -> dict[str, Any]:
    """The Secret with the API keys."""
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys", "namespace": "default"}, **fields}


CLIENTS = secret(stringData={"alice": "key-of-alice"})


def found(identity: dict[str, Any], *more: dict[str, Any], target: str = ENVOY_GATEWAY) -> list[tuple[str, str, str]]:
    """Code, field below ``spec.identity`` and message of each finding, all of them errors with a hint and a line."""
    records = findings(with_spec(POLICY, identity=identity), backend("llm"), *more, target=target)
    for _, record in records:
        assert record.severity is Severity.ERROR
        assert record.hint
        assert record.origin.path[:2] == ("spec", "identity")
        assert record.origin.line > 0
    return [(code, ".".join(map(str, record.origin.path[2:])), record.message) for code, record in records]


@pytest.mark.parametrize("target", [ENVOY_GATEWAY, ENVOY, COMPOSE])
@pytest.mark.parametrize(
    "identity",
    [
        {},
        {"header": "X-Account", "onMissing": "Reject"},
        {"jwt": JWT},
        {"jwt": JWT, "onMissing": "Reject"},
        {"jwt": {"provider": {"name": "p", "remoteJWKS": {"uri": "https://keys.example.com/jwks.json"}}}},
        {"apiKey": API_KEY},
        {"apiKey": API_KEY, "onMissing": "Reject"},
        {"apiKey": {**API_KEY, "extractFrom": [{"headers": ["authorization"]}, {"params": ["key"]}]}},
    ],
)
def test_an_identity_that_can_work(identity: dict[str, Any], target: str) -> None:
    """No finding on any target, given the Secret."""
    assert found(identity, CLIENTS, target=target) == []


@pytest.mark.parametrize(
    ("identity", "finding"),
    [
        ({"jwt": {"claim": "sub"}}, ("LR026", "jwt", "jwt has no provider: nobody's tokens can be verified")),
        ({"jwt": {"provider": {"name": "p"}}}, ("LR027", "jwt.provider", "the provider p has no keys")),
        (
            {"jwt": {"provider": {**INLINE, "remoteJWKS": {"uri": "https://k"}}}},
            ("LR027", "jwt.provider", "the provider p has keys in two places"),
        ),
        ({"jwt": JWT, "apiKey": API_KEY}, ("LR029", "apiKey", "identity has both jwt and apiKey")),
        (
            {"apiKey": API_KEY, "onMissing": "Anonymous"},
            ("LR030", "onMissing", "a request without an API key is refused, so onMissing: Anonymous cannot hold"),
        ),
    ],
)
def test_an_identity_that_cannot_work(identity: dict[str, Any], finding: tuple[str, str, str]) -> None:
    """One finding, at the field that is wrong."""
    assert found(identity) == [finding]


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ("keys", "it is not JSON (Expecting value: line 1 column 1 (char 0))"),
        ("[]", "it has no list of keys"),
        ("{}", "it has no list of keys"),
        ('{"keys": []}', "it has no list of keys"),
        ('{"keys": {"kty": "RSA"}}', "it has no list of keys"),
        ('{"keys": [{"kid": "1"}]}', "a key has no kty"),
        ('{"keys": ["RSA"]}', "a key has no kty"),
    ],
)
def test_keys_that_are_none(keys: str, why: str) -> None:
    """With the reason."""
    finding = ("LR028", "jwt.provider.localJWKS.inline", f"localJWKS of the provider p is no set of keys: {why}")
    assert found({"jwt": {"provider": {"name": "p", "localJWKS": {"inline": keys}}}}) == [finding]


@pytest.mark.parametrize("target", [ENVOY, COMPOSE])
def test_keys_of_clients_have_to_be_at_hand(target: str) -> None:
    """A plain Envoy cannot fetch a Secret; Envoy Gateway does. Which one is missing is told, each at its place."""
    identity = {"apiKey": {"credentialRefs": [{"name": "other"}, {"name": "keys"}]}}
    missing = [
        ("LR031", f"apiKey.credentialRefs.{i}.name", f"the Secret default/{name} is not in the input, and {target} cannot fetch it")
        for i, name in enumerate(("other", "keys"))
    ]  # fmt: skip
    assert found(identity, target=target) == missing
    assert found(identity, CLIENTS, target=target) == missing[:1]
    assert found(identity, target=ENVOY_GATEWAY) == []
    elsewhere = {**CLIENTS, "metadata": {"name": "keys", "namespace": "elsewhere"}}
    assert found(identity, elsewhere, target=target) == missing
    empty = (
        "LR031",
        "apiKey.credentialRefs.0.name",
        f"the Secret default/keys has no client in it, and {target} cannot fetch it",
    )
    assert found({"apiKey": API_KEY}, secret(data={}), target=target) == [empty]


@pytest.mark.parametrize(
    ("identity", "field", "says"),
    [
        ({"header": "x user"}, "header", "'x user' is no header that Envoy can set"),
        ({"header": "x_user"}, "header", "'x_user' is no header that Envoy can set"),
        ({"header": ":path"}, "header", "':path' is no header that Envoy can set"),
        ({"header": "Host"}, "header", "host is needed for something else"),
        ({"header": "content-length"}, "header", "content-length is needed for something else"),
        ({"header": "x-ai-gateway-llm-model-name"}, "header", "x-ai-gateway-llm-model-name is needed"),
        ({"header": "x-ai-gateway-llm-backend"}, "header", "x-ai-gateway-llm-backend is needed"),
        ({"header": "x-ai-gateway-llm-metadata-01"}, "header", "x-ai-gateway-llm-metadata-01 is needed"),
        ({"header": "X-API-Key", "apiKey": API_KEY}, "header", "x-api-key has the API key already"),
        ({"apiKey": {**API_KEY, "extractFrom": [{"headers": ["x_key"]}]}}, "apiKey.extractFrom", "'x_key' is no header that"),
    ],
)  # fmt: skip
def test_headers_that_cannot_hold_a_user(identity: dict[str, Any], field: str, says: str) -> None:
    """Of the policy's own, those that the filter needs, and those without which a request is none."""
    ((code, where, message),) = found(identity)
    assert (code, where) == ("LR043", field)
    assert message.startswith(says)


def test_a_place_in_a_file_of_several_routes() -> None:
    """The second LLMRoute's finding is in the second LLMRoute, at the field."""
    first = with_spec(route(name="a", one=[rule(limit(1))], two=[rule(limit(1))]), identity={"jwt": JWT})
    second = with_spec(route(name="b", three=[rule(limit(1))], four=[rule(limit(1))]), identity={"jwt": {"claim": "x"}})
    ((code, record),) = findings(first, second)
    ((_, alone),) = findings(second)
    assert (code, record.origin.column) == ("LR026", alone.origin.column)
    assert record.origin.line > 40 > alone.origin.line


def test_a_policy_of_that_name_is_there_already() -> None:
    """A SecurityPolicy is made for verified identities only."""
    taken = {"apiVersion": "x/v1", "kind": "SecurityPolicy", "metadata": {"name": "route", "namespace": "default"}}
    assert [c for c, _ in findings(with_spec(POLICY, identity={"jwt": JWT}), taken)] == ["LR016"]
    assert findings(POLICY, taken) == []


@pytest.mark.parametrize("target", [ENVOY_GATEWAY, ENVOY, COMPOSE])
def test_two_clients_of_one_key(target: str) -> None:
    """Nobody could tell them apart; of a name that stands twice in a Secret the text counts, so that is one client."""
    message = "the clients alice and bob have one API key: nobody knows who sends it"
    twice = secret(data={"alice": "a2V5"}, stringData={"bob": "key"})
    assert found({"apiKey": API_KEY}, twice, target=target) == [("LR049", "apiKey.credentialRefs", message)]
    again = secret(data={"alice": "a2V5", "bob": "a2V5"}, stringData={"bob": "another"})
    assert found({"apiKey": API_KEY}, again, target=target) == []
