"""What an API server with our CRD takes and refuses of LLMRoutes; ``llmroute check`` has to agree.

The same cases hold for the offline validator (``tests/golden``) and for a real API server (``e2e``).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, Final

import yaml

from tests.policies import USER, header, limit, route, rule, with_spec
from tools.examples import examples

Document = dict[str, Any]

_RULE: Final = "spec.backends[0].trafficPolicy.rateLimit.rules[0]"
_JWT: Final = {"provider": {"name": "sso", "localJWKS": {"inline": '{"keys": [{"kty": "oct"}]}'}}}
_KEYS: Final = {"credentialRefs": [{"name": "keys"}]}


def _with_rule(**fields: Any) -> Document:
    return route({"limits": [limit(10)], **fields})


def _with_backend(**ref: Any) -> Document:
    policy = copy.deepcopy(route(rule(limit(1))))
    policy["spec"]["backends"][0]["backendRef"] = {"name": "llm", **ref}
    return policy


def _twice() -> Document:
    policy = copy.deepcopy(route(rule(limit(1))))
    policy["spec"]["backends"] *= 2
    return policy


BASE: Final = route(rule(limit(10)))
REFUSED: Final[dict[str, tuple[Document, str, str, str]]] = {
    "unknown-field": (route(rule(limit(10) | {"quantty": 1})), "LR003", f"{_RULE}.limits[0].quantty", "unknown field"),
    "wrong-type": (route(rule(limit(10) | {"quantity": "ten"})), "LR004", f"{_RULE}.limits[0].quantity", "integer"),
    "negative": (route(rule(limit(-1))), "LR004", f"{_RULE}.limits[0].quantity", "0"),
    "too-large": (route(rule(limit(2**32))), "LR033", f"{_RULE}.limits[0].quantity", "4294967295"),
    "missing": (route({"headers": []}), "LR005", f"{_RULE}", "limits"),
    "unit": (route(rule(limit(1, unit="Fortnight"))), "LR025", f"{_RULE}.limits[0].unit", "Fortnight"),
    "no-limit": (route({"limits": []}), "LR004", f"{_RULE}.limits", ""),
    "no-backend": (with_spec(BASE, backends=[]), "LR004", "spec.backends", ""),
    "name": (with_spec(BASE, targetRefs=[{"name": "Upper"}]), "LR021", "spec.targetRefs[0].name", "Upper"),
    "port": (_with_backend(kind="Service"), "LR005", "spec.backends[0].backendRef", "a Service needs its port"),
    "port-of-default": (_with_backend(), "LR005", "spec.backends[0].backendRef", "a Service needs its port"),
    "backend-twice": (_twice(), "LR009", "spec", "a backend stands twice"),
    "distinct-value": (_with_rule(headers=[header(USER, "Distinct", "a")]), "LR010", f"{_RULE}.headers[0]", "must not name one"),
    "exact-no-value": (_with_rule(headers=[header(USER, "Exact")]), "LR011", f"{_RULE}.headers[0]", "needs a value"),
    "empty-value": (_with_rule(headers=[header(USER, "RegularExpression", "")]), "LR011", f"{_RULE}.headers[0]", "needs a value"),
    "header-name": (_with_rule(headers=[header("x_user", "Distinct")]), "LR013", f"{_RULE}.headers[0].name", "x_user"),
    "metadata-value": (
        _with_rule(metadata=[{"type": "Dynamic", "name": "f", "paths": [{"key": "k"}], "value": ""}]),
        "LR011", f"{_RULE}.metadata[0].value", "",
    ),
    "no-paths": (_with_rule(metadata=[{"type": "Dynamic", "name": "f"}]), "LR039", f"{_RULE}.metadata[0]", "paths"),
    "requests-token": (route(rule(limit(1, "Request", token="Total"))), "LR038", f"{_RULE}.limits[0]", "say type: Token"),
    "default-type-weights": (
        route(rule({"quantity": 1, "weights": {"prompt": 2}})), "LR038", f"{_RULE}.limits[0]", "say type: Token",
    ),
    "token-and-weights": (
        route(rule(limit(1, token="Total", weights={"prompt": 2}))), "LR037", f"{_RULE}.limits[0]", "not both",
    ),
    "no-weight": (
        route(rule(limit(1, weights={"prompt": 0, "completion": 0}))), "LR035", f"{_RULE}.limits[0].weights", "all weights are 0",
    ),
    "negative-weight": (
        route(rule(limit(1, weights={"prompt": -0.5}))), "LR034", f"{_RULE}.limits[0].weights.prompt", "0",
    ),
    "fixed-alone": (with_spec(BASE, usage={"fixedTokens": 5}), "LR023", "spec.usage", "goes with onMissing: Fixed"),
    "no-fixed": (with_spec(BASE, usage={"onMissing": "Fixed"}), "LR005", "spec.usage", "goes with onMissing: Fixed"),
    "two-identities": (with_spec(BASE, identity={"jwt": _JWT, "apiKey": _KEYS}), "LR029", "spec.identity", "not from both"),
    "anonymous-key": (
        with_spec(BASE, identity={"apiKey": _KEYS, "onMissing": "Anonymous"}), "LR030", "spec.identity", "nobody can be anonymous",
    ),
    "no-provider": (with_spec(BASE, identity={"jwt": {}}), "LR026", "spec.identity.jwt", "needs a provider"),
    "no-keys": (
        with_spec(BASE, identity={"jwt": {"provider": {"name": "p"}}}), "LR027", "spec.identity.jwt.provider", "remoteJWKS or localJWKS",
    ),
}  # fmt: skip
"""An LLMRoute, the code that ``llmroute check`` has for it, and place and words of the API server's refusal."""


def taken() -> Iterator[tuple[str, Document]]:
    """LLMRoutes that are fine, by name: those of the examples, and one with every field that they do not have."""
    for policy in examples():
        for document in yaml.safe_load_all(policy.read_text(encoding="utf-8")):
            if document and document["kind"] == "LLMRoute":
                yield policy.parent.name, document
    yield "port-of-a-service", _with_backend(kind="Service", port=80)
    yield "group-alone", _with_backend(group="gateway.envoyproxy.io")
    weighted = limit(5, weights={"prompt": 0, "cachedPrompt": 0.1, "completion": 0})
    by_pattern = header("x-team", "RegularExpression", "a.*")
    yield "weights", route(rule(weighted, headers=[by_pattern]))
    yield "fixed", with_spec(BASE, usage={"onMissing": "Fixed", "fixedTokens": 0})
    yield "many-rules", route(*[rule(limit(n + 1), headers=[header("x-team", "Exact", f"t{n}")]) for n in range(256)])
