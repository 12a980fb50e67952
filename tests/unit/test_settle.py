"""``settle: Sync`` from the policy to what the filter is told: which limits it charges, by which names, and which not."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import yaml

from llmroute import names
from llmroute.diagnostic import Severity
from llmroute.emit import eg_names
from llmroute.limiter import Limiter, parse
from llmroute.limiter.limiter import Descriptor
from llmroute.pipeline import compile_policies
from llmroute.plan import Settle
from llmroute.settlement import carried_out, hindrance
from llmroute.targets import COMPOSE, ENVOY, ENVOY_GATEWAY, TARGETS, capabilities
from tests.policies import MODEL, USER, compiled, findings, header, limit, read_context, route, rule, text
from tests.unit.test_check import backend

EVERY_USER = [header(USER, "Distinct")]
STAFF = [header(USER, "RegularExpression", "staff-.*")]


def sync(policy: dict[str, Any], settle: str = "Sync") -> dict[str, Any]:
    """The policy with ``settle``."""
    return policy | {"spec": policy["spec"] | {"admission": {"settle": settle}}}


def contexts(policy: dict[str, Any], target: str) -> list[dict[str, Any]]:
    """What the filter is told on each route."""
    made = compiled(policy, *(backend(b["backendRef"]["name"]) for b in policy["spec"]["backends"]), target=target)
    assert made.artifacts, [str(found) for found in made.diagnostics]
    if target == ENVOY_GATEWAY:
        documents = [d for d in yaml.safe_load_all(made.artifacts[0].text) if d]
        return [
            read_context(d["spec"]["lua"][0]["filterContext"]) for d in documents if d["kind"] == "EnvoyExtensionPolicy"
        ]
    return [read_context(each["envoy.filters.http.lua"]["filter_context"]) for each in _routes(made.artifacts)]


def _routes(artifacts: Any) -> list[dict[str, Any]]:
    files = {a.path: yaml.safe_load(a.text) for a in artifacts if a.path.endswith(".yaml")}
    listener = files["envoy.yaml"]["static_resources"]["listeners"][0]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    return [each["typed_per_filter_config"] for each in manager["route_config"]["virtual_hosts"][0]["routes"]]


@pytest.mark.parametrize("target", TARGETS)
def test_async_tells_the_filter_nothing(target: str) -> None:
    """And the proxy charges what the answer cost."""
    policy = sync(route(rule(limit(10), headers=EVERY_USER)), "Async")
    assert all("settle" not in context for context in contexts(policy, target))
    (made,) = compiled(policy, backend("llm"), target=target).plan.routes
    assert made.admission.settle is Settle.ASYNC


def test_a_plain_envoy() -> None:
    """Entries as in the service's configuration, values of the request by header, and where a limit applies."""
    one = rule(limit(10), limit(5) | {"token": "Prompt"}, headers=[header(MODEL, "Exact", "gpt-*"), *EVERY_USER])
    policy = sync(route(a=[one], b=[rule(limit(7, "Request"))]))
    for context in contexts(policy, ENVOY):
        first, second = context["settle"].pop("limits")
        assert context["settle"] == {
            "cluster": "ratelimit",
            "domain": "default/route",
            "timeoutMs": 1000,
            "headers": [names.BACKEND_HEADER, MODEL, USER],
        }
        assert [first["due"], first["key"], second["due"], second["key"]] == [
            "due_1",
            "total_tokens",
            "due_2",
            "prompt_tokens",
        ]
        assert first["match"] == second["match"] == [
            {"header": names.BACKEND_HEADER, "value": "a"},
            {"header": MODEL, "value": "gpt-*"},
        ]  # fmt: skip
        assert first["entries"][1:] == [{"key": MODEL, "value": "gpt-%2A"}, {"key": USER, "header": USER}]


@pytest.mark.parametrize(
    "rules",
    [
        [rule(limit(10))],
        [rule(limit(10), headers=EVERY_USER), rule(limit(20) | {"shadow": True})],
        [rule(limit(10), headers=[header("x-org", "Exact", "a%b*"), *EVERY_USER, header(MODEL, "Distinct")])],
        [rule(limit(10), limit(10, unit="Day") | {"token": "Completion"}, limit(3) | {"weights": {"prompt": 0.5}})],
    ],
    ids=["global", "shadow", "mixed", "kinds"],
)
def test_a_plain_envoys_service_knows_every_name(rules: list[dict[str, Any]]) -> None:
    """What the filter is to send, with values for its headers, has a limit in the configuration: the one that is meant."""
    made = compiled(sync(route(*rules)), backend("llm"), target=ENVOY)
    (config,) = [a.text for a in made.artifacts if a.path.startswith("ratelimit/")]
    domain = parse(config, "ratelimit.yaml")
    limiter = Limiter([domain], lambda: 0.0)
    (context,) = contexts(sync(route(*rules)), ENVOY)
    assert context["settle"]["domain"] == domain.name
    limits = {f"due_{i}": found for i, (_, found) in enumerate(made.plan.routes[0].limits(), 1)}
    assert {each["due"] for each in context["settle"]["limits"]} == set(limits)
    for each in context["settle"]["limits"]:
        entries = tuple((entry["key"], entry.get("value", "somebody")) for entry in each["entries"])
        (status,) = limiter.should_rate_limit(domain.name, [Descriptor(entries, 0)]).statuses
        assert status.limit
        quantity = limits[each["due"]].quantity
        assert status.limit.requests_per_unit == (quantity if limits[each["due"]].shadow else quantity - 1)


@pytest.mark.parametrize("target", [ENVOY, ENVOY_GATEWAY])
def test_the_proxy_charges_what_is_due(target: str) -> None:
    """From the limit's own key; a limit that the filter cannot charge has none, and no request limit has."""
    rules = [rule(limit(10), limit(9, "Request"), headers=EVERY_USER), rule(limit(10), headers=STAFF), rule(limit(0))]
    made = compiled(sync(route(*rules)), backend("llm"), target=target)
    output = "\n".join(a.text for a in made.artifacts)
    keys = ("due_1", "due_2", "due_3", "due_4")
    if target == ENVOY:
        charged = [key for key in keys if f"%DYNAMIC_METADATA(llmroute:{key})%" in output]
        assert output.count("%DYNAMIC_METADATA(llmroute:total_tokens)%") == 1
    else:
        policies = [d for d in yaml.safe_load_all(output) if d and d["kind"] == "BackendTrafficPolicy"]
        costs = [r["cost"].get("response") for p in policies for r in p["spec"]["rateLimit"]["global"]["rules"]]
        assert [cost and cost["metadata"]["key"] for cost in costs] == ["due_1", None, "total_tokens", None]
        charged = ["due_1"]
    assert charged == ["due_1"]


def test_shadow_requests_are_charged_by_the_proxy() -> None:
    """They cost 1, whatever the answer says."""
    policy = sync(route(rule(limit(9, "Request") | {"shadow": True})))
    assert all("settle" not in context for context in contexts(policy, ENVOY))


def test_a_pattern_cannot_be_charged_in_time() -> None:
    """One warning at each such match; the other limits are charged in time."""
    rules = [rule(limit(10), limit(20), limit(3, "Request"), headers=STAFF), rule(limit(30))]
    ((code, found),) = findings(sync(route(*rules)))
    assert (code, found.severity) == ("LR047", Severity.WARNING)
    assert found.origin.path[-3:] == (0, "headers", 0)
    assert "no RE2" in found.message
    (context,) = contexts(sync(route(*rules)), ENVOY_GATEWAY)
    assert [each["due"] for each in context["settle"]["limits"]] == ["due_4"]


def test_only_token_limits_are_warned_of() -> None:
    """A request limit is charged on admission."""
    assert findings(sync(route(rule(limit(10, "Request"), limit(0), headers=STAFF)))) == []


def test_without_a_namespace_envoy_gateways_names_are_not_known() -> None:
    """There the proxy charges, with a warning; on a plain Envoy the name is ours."""
    policy = sync(route(rule(limit(10))))
    del policy["metadata"]["namespace"]
    ((code, found),) = findings(policy)
    assert (code, found.severity, found.hint) == ("LR047", Severity.WARNING, "add metadata.namespace")
    assert found.origin.path == ("spec", "admission", "settle")
    (context,) = contexts(policy, ENVOY_GATEWAY)
    assert "settle" not in context
    assert findings(policy, backend("llm"), target=ENVOY) == []
    assert all("settle" in context for context in contexts(policy, ENVOY))


def test_a_version_whose_names_nobody_has_proven() -> None:
    """Its row says so; then the proxy charges as ever, with a warning."""
    unknown = dataclasses.replace(capabilities(ENVOY_GATEWAY), version="1.99", known_counters=False)
    plan = compiled(sync(route(rule(limit(10))))).plan
    assert hindrance(plan.routes[0], unknown) == "nobody has proven what envoy-gateway 1.99 calls its counters"
    late = carried_out(plan, unknown)
    assert [r.admission.settle for r in late.routes] == [Settle.ASYNC]
    policy = text(sync(route(rule(limit(10)))))
    made = compile_policies([("policy.yaml", policy)], unknown)
    assert [(d.code.id, d.severity) for d in made.diagnostics] == [("LR047", Severity.WARNING)]
    assert "due_1" not in made.artifacts[0].text
    assert carried_out(plan, capabilities(ENVOY_GATEWAY)) == plan


@pytest.mark.parametrize("target", TARGETS)
def test_every_row_that_we_ship_is_proven(target: str) -> None:
    """``e2e/test_eg_names.py`` holds Envoy Gateway's; a plain Envoy's names are ours."""
    assert capabilities(target).known_counters
    assert target in {ENVOY_GATEWAY, ENVOY, COMPOSE}


def test_names_need_a_namespace() -> None:
    """A counter of nobody's is never named."""
    (made,) = compiled(route(rule(limit(1)))).plan.routes
    with pytest.raises(ValueError, match="namespace of route"):
        eg_names.domain(dataclasses.replace(made, namespace=None))
