"""The CustomResourceDefinition of the LLMRoute: the same schema as a structural one, with CEL rules.

An API server that has it refuses what ``llmroute check`` refuses of one LLMRoute alone, as far as CEL can say it
within its budget. No controller reads the object: it is there to be validated, stored and shown.
"""

from __future__ import annotations

from typing import Final

from llmroute import names
from llmroute.api.v1alpha1.schema import Schema, definitions
from llmroute.render.yaml import Comment

PLURAL: Final = "llmroutes"
REF: Final = "#/definitions/"
_ENVOY_GATEWAY: Final = f"'{names.ENVOY_GATEWAY_API}'"

_MAX_ITEMS: Final = {
    ("RateLimit", "rules"): 256,
    ("Rule", "headers"): 16,
    ("Rule", "metadata"): 16,
    ("Rule", "limits"): 48,
}
"""Of lists that CEL rules are in: their cost is reckoned from it. All targets take 256 limits and 16 matches at most;
48 limits for one set of requests are more than there are kinds and windows."""
_PATTERNS: Final = {("HeaderMatch", "name"): r"^[!#$%&'*+.^`|~0-9A-Za-z-]+$"}
_MIN_LENGTHS: Final = {("MetadataMatch", "value"): 1}

RULES: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "BackendRef": (
        (
            (
                "has(self.port) || (has(self.kind) ? self.kind == 'Backend'"
                f" : has(self.group) && self.group == {_ENVOY_GATEWAY})"
            ),
            "a Service needs its port",
        ),
    ),
    "HeaderMatch": (
        ("self.type != 'Distinct' || !has(self.value)", "a Distinct match takes every value and must not name one"),
        (
            "self.type == 'Distinct' || has(self.value) && self.value != ''",
            "an Exact or RegularExpression match needs a value",
        ),
    ),
    "IdentitySpec": (
        ("!has(self.jwt) || !has(self.apiKey)", "a user comes from jwt or from apiKey, not from both"),
        (
            "!has(self.apiKey) || !has(self.onMissing) || self.onMissing == 'Reject'",
            "with apiKey nobody can be anonymous: say onMissing: Reject, or remove it",
        ),
    ),
    "JwtProvider": (("has(self.remoteJWKS) != has(self.localJWKS)", "give either remoteJWKS or localJWKS"),),
    "JwtSpec": (("has(self.provider)", "jwt needs a provider"),),
    "LLMRouteSpec": (
        (
            "self.backends.all(b, self.backends.exists_one(c, c.backendRef.name == b.backendRef.name))",
            "a backend stands twice: merge its rules into one",
        ),
    ),
    "LimitSpec": (
        (
            "!has(self.token) && !has(self.weights) || has(self.type) && self.type == 'Token'",
            "a limit of requests has neither token nor weights: say type: Token, or remove them",
        ),
        ("!has(self.token) || !has(self.weights)", "give token or weights, not both"),
    ),
    "UsageSpec": (
        (
            "(has(self.onMissing) && self.onMissing == 'Fixed') == has(self.fixedTokens)",
            "fixedTokens goes with onMissing: Fixed, and only with it",
        ),
    ),
    "WeightsSpec": (
        (
            (
                "!has(self.prompt) || self.prompt > 0.0 || !has(self.completion) || self.completion > 0.0"
                " || has(self.cachedPrompt) && self.cachedPrompt > 0.0 || has(self.cacheWrite) && self.cacheWrite > 0.0"
                " || has(self.reasoning) && self.reasoning > 0.0"
            ),
            "all weights are 0, so this limit counts nothing and never refuses",
        ),
    ),
}
"""By model: a rule and what is wrong where it does not hold."""


def crd() -> Comment:
    """The CustomResourceDefinition, with the comment that says where it comes from."""
    kind = names.KIND
    version = {
        "name": names.VERSION,
        "served": True,
        "storage": True,
        "additionalPrinterColumns": [
            {"name": "Gateways", "type": "string", "jsonPath": ".spec.targetRefs[*].name"},
            {"name": "Backends", "type": "string", "jsonPath": ".spec.backends[*].backendRef.name"},
            {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
        ],
        "schema": {"openAPIV3Schema": _root()},
    }
    made = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{names.GROUP}", "labels": {names.MANAGED_BY_LABEL: names.MANAGED_BY}},
        "spec": {
            "group": names.GROUP,
            "names": {"kind": kind, "listKind": f"{kind}List", "plural": PLURAL, "singular": kind.lower()},
            "scope": "Namespaced",
            "versions": [version],
        },
    }
    return Comment(
        "Made by llmroute schema --crd. An API server with it validates LLMRoutes; nothing acts on them.", made
    )


def _root() -> Schema:
    parts = definitions()
    root = _structural(parts[names.KIND], names.KIND, parts)
    properties = root["properties"]
    for field in ("apiVersion", "kind"):
        properties[field] = {"type": "string"}
    # The API server knows metadata for itself, and takes no description of it.
    properties["metadata"] = {"type": "object"}
    root["required"] = ["spec"]
    properties["status"] |= {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return root


def _structural(schema: Schema, model: str, parts: dict[str, Schema]) -> Schema:
    """Every reference in its place, and only what Kubernetes has in a structural schema."""
    if "$ref" in schema:
        model = schema["$ref"].removeprefix(REF)
        described = {key: value for key, value in schema.items() if key == "description"}
        return _structural(parts[model], model, parts) | described
    out: Schema = {}
    for key, value in schema.items():
        match key:
            case "const":
                out["enum"] = [value]
            case "properties":
                out[key] = {name: _field(model, name, item, parts) for name, item in value.items()}
            case "items":
                out[key] = _structural(value, model, parts)
            case "additionalProperties":  # unknown fields are refused or pruned in any case
                continue
            case _:
                out[key] = value
    if out.get("type") == "integer":
        out["format"] = "int64"
    if out.get("type") == "array":
        out["x-kubernetes-list-type"] = "atomic"
    if out.get("type") == "object" and model in RULES:
        out["x-kubernetes-validations"] = [{"rule": rule, "message": message} for rule, message in RULES[model]]
    return out


def _field(model: str, name: str, schema: Schema, parts: dict[str, Schema]) -> Schema:
    out = _structural(schema, model, parts)
    place = (model, name)
    if place in _MAX_ITEMS:
        out["maxItems"] = _MAX_ITEMS[place]
    if place in _PATTERNS:
        out["pattern"] = _PATTERNS[place]
    if place in _MIN_LENGTHS:
        out["minLength"] = _MIN_LENGTHS[place]
    return out
