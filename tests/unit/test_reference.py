"""``docs/reference.md``: the defaults that it names are those that a policy gets."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import yaml

from llmroute.api.v1alpha1.schema import definitions
from llmroute.plan import Plan
from tests.policies import compiled, limit, route, rule, with_spec
from tools.reference import default_of, page

Policy = dict[str, Any]
REMOTE = {"provider": {"name": "sso", "remoteJWKS": {"uri": "https://sso.example.com/jwks.json"}}}
CLAIM = {"type": "Dynamic", "name": "envoy.filters.http.jwt_authn", "paths": [{"key": "sso"}, {"key": "tenant"}]}


def tokens(**more: Any) -> Policy:
    """A limit of tokens."""
    return route(rule({"type": "Token", "quantity": 10, **more}))


def gateway(**more: Any) -> Policy:
    """A route of one Gateway."""
    return with_spec(tokens(), targetRefs=[{"name": "ai-eg", **more}])


def service(**more: Any) -> Policy:
    """A route to a Service."""
    return with_spec(tokens(), backends=[{"backendRef": {"name": "openai", "port": 80, **more}}])


def api_key(**more: Any) -> Policy:
    """Users by API key."""
    return with_spec(tokens(), identity={"apiKey": {"credentialRefs": [{"name": "keys", **more}]}})


POLICIES: dict[tuple[str, str], Callable[..., Policy]] = {
    ("AdmissionSpec", "mode"): lambda **more: with_spec(tokens(), admission=more),
    ("AdmissionSpec", "settle"): lambda **more: with_spec(tokens(), admission=more),
    ("BackendRef", "kind"): service,
    ("IdentitySpec", "header"): lambda **more: with_spec(tokens(), identity=more),
    ("IdentitySpec", "onMissing"): lambda **more: with_spec(tokens(), identity=more),
    ("JwtSpec", "claim"): lambda **more: with_spec(tokens(), identity={"jwt": REMOTE | more}),
    ("LimitSpec", "shadow"): tokens,
    ("LimitSpec", "token"): tokens,
    ("LimitSpec", "type"): lambda **more: route(rule({"quantity": 10, **more})),
    ("LimitSpec", "unit"): lambda **more: route(rule({"type": "Token", "quantity": 10, **more})),
    ("MetadataMatch", "defaultValue"): lambda **more: route(rule(limit(10), metadata=[CLAIM | more])),
    ("SecretRef", "kind"): api_key,
    ("TargetRef", "group"): gateway,
    ("TargetRef", "kind"): gateway,
    ("UsageSpec", "includeUsage"): lambda **more: with_spec(tokens(), usage=more),
    ("UsageSpec", "onDisconnect"): lambda **more: with_spec(tokens(), usage=more),
    ("UsageSpec", "onMissing"): lambda **more: with_spec(tokens(), usage=more),
    ("WeightsSpec", "completion"): lambda **more: tokens(weights={"prompt": 2, **more}),
    ("WeightsSpec", "prompt"): lambda **more: tokens(weights={"completion": 2, **more}),
}
"""A policy in which a field may be said or left out."""


def named() -> Iterator[tuple[str, str, str]]:
    """Model, field and default of each field whose default is a value."""
    for model, part in definitions().items():
        for field, schema in part["properties"].items():
            found = re.match(r"`([^`]+)`(?!.* of )", default_of(schema.get("description", ""))[1])
            if found:
                yield model, field, found[1]


def meaning(policy: Policy) -> Mapping[str, Any]:
    """The plan's routes without what tells the text that they come from."""
    made = compiled(policy)
    assert [d for d in made.diagnostics if d.code.id != "LR053"] == []
    return {"routes": _meant(made.plan)}


def _meant(value: Any) -> Any:
    if isinstance(value, Plan) or dataclasses.is_dataclass(value):
        left_out = {"origin", "digest"}
        return {f.name: _meant(getattr(value, f.name)) for f in dataclasses.fields(value) if f.name not in left_out}
    return [_meant(item) for item in value] if isinstance(value, tuple) else value


def test_every_default_is_looked_at() -> None:
    """Those that are values; others are words."""
    assert {(model, field) for model, field, _ in named()} == set(POLICIES)


@pytest.mark.parametrize(("model", "field", "default"), list(named()))
def test_saying_the_default_changes_nothing(model: str, field: str, default: str) -> None:
    """And saying something else, where there is something else to say, does."""
    policy = POLICIES[model, field]
    assert meaning(policy(**{field: yaml.safe_load(default)})) == meaning(policy())
    schema = definitions()[model]["properties"][field]
    others = [choice for choice in schema.get("enum", []) if choice not in {default, "Reserve", "Fixed", "Backend"}]
    for other in others:
        assert meaning(policy(**{field: other})) != meaning(policy()), other


def test_every_field_stands_in_the_page() -> None:
    """A row for each, in the section of its model."""
    rows = re.findall(r"^\| `(\w+)` \|", page(), re.MULTILINE)
    assert sorted(rows) == sorted(field for part in definitions().values() for field in part["properties"])


def test_links_of_the_page_lead_to_its_headings() -> None:
    """Anchors as code hosts make them: lower case, letters, digits and dashes alone."""
    headings = re.findall(r"^## (.+)$", page(), re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\(#([\w-]+)\)", page())) == anchors - {"the-document"}
