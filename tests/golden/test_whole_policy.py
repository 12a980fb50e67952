"""What the fields of the whole policy become: valid for the CRDs with their CEL rules, and for Envoy itself."""

from __future__ import annotations

import dataclasses
from typing import Any, Final

import pytest
import yaml

from llmroute.local.envoy import validate as validate_bootstrap
from llmroute.targets import ENVOY, ENVOY_GATEWAY, WASM, Capabilities, capabilities
from tests.golden.crds import validate
from tests.policies import MODEL, USER, compiled, header, limit, route, rule, with_spec
from tests.unit.test_identity_emit import JWKS, SECRET, jwt, two_backends

USERS: Final = [header(USER, "Distinct")]
WEIGHTED: Final = {"type": "Token", "quantity": 5, "weights": {"cachedPrompt": 0.1, "completion": 4}}
WHOLE: Final[dict[str, dict[str, Any]]] = {
    "models": {},
    "in-flight": {"admission": {"maxInFlight": 2000, "maxTokens": 10}},
    "token-local": {"identity": jwt(localJWKS={"inline": JWKS})},
    "token-remote": {"identity": jwt(remoteJWKS={"uri": "https://issuer.example.com/keys"}) | {"onMissing": "Reject"}},
    "token-bare": {"identity": {"jwt": {"provider": {"name": "p", "localJWKS": {"inline": JWKS}}}}},
    "key": {"identity": {"apiKey": {"credentialRefs": [{"name": "keys"}]}}},
    "key-anywhere": {
        "identity": {
            "header": "x-client",
            "apiKey": {
                "credentialRefs": [{"name": "keys"}],
                "extractFrom": [{"headers": ["x-a", "authorization"]}, {"params": ["k"]}, {"cookies": ["c"]}],
            },
        }
    },
    "levels": {"trafficPolicy": {"rateLimit": {"rules": [rule(limit(9, unit="Year")), rule(WEIGHTED, headers=USERS)]}}},
    "kinds": {
        "trafficPolicy": {
            "rateLimit": {
                "rules": [
                    rule(limit(9, unit=unit) | {"token": token, "shadow": shadow}, headers=USERS)
                    for unit, token, shadow in [("Week", "Prompt", True), ("Month", "Completion", False)]
                ]
            }
        }
    },
    "metadata": {
        "trafficPolicy": {
            "rateLimit": {
                "rules": [
                    {
                        "metadata": [{"type": "Dynamic", "name": "some.filter", "paths": [{"key": "tenant"}]}],
                        "headers": [header(MODEL, "Exact", "m")],
                        "limits": [limit(3, "Request") | {"shadow": True}],
                    }
                ]
            }
        }
    },
}
"""Fields of ``spec``, each on a route with two backends that are chosen by model."""


@pytest.mark.usefixtures("crds_at_hand")
@pytest.mark.parametrize("spec", WHOLE.values(), ids=WHOLE)
@pytest.mark.parametrize(
    "target",
    [
        capabilities(ENVOY_GATEWAY),
        capabilities(ENVOY_GATEWAY, engine=WASM, module_url="https://files.example/filter.wasm"),
        capabilities(ENVOY_GATEWAY, engine=WASM, module_url="oci://registry.example/llmroute:1"),
    ],
    ids=["lua", "wasm-file", "wasm-image"],
)
def test_it_is_valid_for_envoy_gateway(target: Capabilities, spec: dict[str, Any]) -> None:
    """Every document, without an unknown field."""
    made = compiled(*two_backends(spec), SECRET, target=target)
    assert made.artifacts, made.diagnostics
    documents = list(yaml.safe_load_all(made.artifacts[0].text))
    assert ("SecurityPolicy" in {d["kind"] for d in documents}) == ("identity" in spec)
    assert {d["kind"]: validate(d) for d in documents if validate(d)} == {}


@pytest.mark.parametrize("spec", WHOLE.values(), ids=WHOLE)
def test_it_is_valid_for_envoy(spec: dict[str, Any]) -> None:
    """``envoy --mode validate`` takes it."""
    made = compiled(*two_backends(spec), SECRET, target=ENVOY)
    assert made.artifacts, made.diagnostics
    validate_bootstrap(made.artifacts[0].text)


@pytest.mark.parametrize("settle", ["Async", "Sync"])
def test_a_reservation_is_valid_for_envoy(settle: str) -> None:
    """Of every kind of limit. No target has it by itself, so no example shows it."""
    limits = [limit(9), limit(9) | {"token": "Prompt"}, WEIGHTED, limit(9) | {"shadow": True}, limit(3, "Request")]
    rules = [rule(*limits, headers=[header(MODEL, "Exact", "m"), *USERS]), rule(limit(0))]
    policy = with_spec(route(*rules), admission={"mode": "Reserve", "maxTokens": 10, "settle": settle})
    made = compiled(policy, _backend("llm"), target=dataclasses.replace(capabilities(ENVOY), refunds=True))
    assert made.artifacts, made.diagnostics
    assert "is_negative_hits: true" in made.artifacts[0].text
    validate_bootstrap(made.artifacts[0].text)


def test_routes_of_every_kind_live_in_one_envoy() -> None:
    """Each with its own way to know who asks."""
    routes = []
    for i, spec in enumerate((WHOLE["token-local"], WHOLE["token-remote"], WHOLE["key"], {})):
        policy = route(name=f"r{i}", **{f"b{i}": [rule(limit(5), headers=USERS)]})
        policy["spec"] |= spec
        routes += [policy, _backend(f"b{i}")]
    made = compiled(*routes, SECRET, target=ENVOY)
    assert made.artifacts, made.diagnostics
    validate_bootstrap(made.artifacts[0].text)


def _backend(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "Backend",
        "metadata": {"name": name},
        "spec": {"endpoints": [{"fqdn": {"hostname": "model.example.com", "port": 80}}]},
    }
