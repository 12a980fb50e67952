"""Details of what is emitted; the whole stands in the examples' committed output."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import pytest
import yaml

from llmroute import names
from llmroute.diagnostic import Origin
from llmroute.encoding import Charge, encode
from llmroute.limiter import Code, Descriptor, Limiter, parse
from llmroute.plan import Admission, Kind, Limit, Mode, Plan, Settle, Unit
from llmroute.targets import ENVOY
from tests.policies import MODEL, USER, compiled, header, limit, read_context, route, rule
from tests.unit.test_check import backend


def artifacts(*documents: dict[str, Any]) -> dict[str, Any]:
    """Files of the ``envoy`` target, parsed."""
    return {a.path: yaml.safe_load(a.text) for a in compiled(*documents, target=ENVOY).artifacts}


def plan_of(*documents: dict[str, Any]) -> Plan:
    """The plan alone."""
    return compiled(*documents).plan


POST_PAID = Admission(Mode.POST_PAID, Settle.ASYNC, None, None, Origin("f"))
RESERVE = dataclasses.replace(POST_PAID, mode=Mode.RESERVE, max_tokens=100)


@pytest.mark.parametrize(
    ("kind", "quantity", "reported", "check_cost", "charge"),
    [
        (Kind.TOKENS, 10, 9, 0, Charge.USAGE),
        (Kind.TOKENS, 1, 0, 0, Charge.USAGE),
        (Kind.TOKENS, 0, 0, 1, 0),
        (Kind.TOKENS, 2**32 - 1, 2**32 - 2, 0, Charge.USAGE),
        (Kind.REQUESTS, 10, 10, 1, 0),
        (Kind.REQUESTS, 0, 0, 1, 0),
    ],
)
def test_encoding(kind: Kind, quantity: int, reported: int, check_cost: int, charge: Charge | int) -> None:
    """A service that refuses above its limit is told N - 1 for tokens and N for requests; 0 never admits."""
    (origin,) = {r.origin for r in plan_of(route(rule(limit(1)))).routes}
    encoded = encode(Limit("id", kind, quantity, Unit.HOUR, (), origin), POST_PAID)
    assert (encoded.reported, encoded.check_cost, encoded.charge) == (reported, check_cost, charge)


@pytest.mark.parametrize(
    ("kind", "quantity", "shadow", "expected"),
    [
        (Kind.TOKENS, 10, False, (10, Charge.HOLD, Charge.USAGE)),
        (Kind.TOKENS, 0, False, (0, 1, 0)),
        (Kind.TOKENS, 10, True, (10, None, Charge.USAGE)),
        (Kind.REQUESTS, 10, False, (10, 1, 0)),
    ],
)
def test_a_reservation_is_checked_against_the_quantity_itself(
    kind: Kind, quantity: int, shadow: bool, expected: tuple[Any, ...]
) -> None:
    """What it holds fits up to N; nothing is held of a shadow, of requests, or where nothing is admitted."""
    encoded = encode(Limit("id", kind, quantity, Unit.HOUR, (), Origin("f"), shadow=shadow), RESERVE)
    assert (encoded.reported, encoded.check_cost, encoded.charge) == expected


@pytest.mark.parametrize(("kind", "charge"), [(Kind.TOKENS, Charge.USAGE), (Kind.REQUESTS, 1)])
@pytest.mark.parametrize("quantity", [0, 10])
def test_a_shadow_is_charged_and_never_checked(kind: Kind, charge: Charge | int, quantity: int) -> None:
    """Its quantity is told as it is: the service refuses nothing for its sake."""
    (origin,) = {r.origin for r in plan_of(route(rule(limit(1)))).routes}
    encoded = encode(Limit("id", kind, quantity, Unit.HOUR, (), origin, shadow=True), POST_PAID)
    assert (encoded.reported, encoded.check_cost, encoded.charge) == (quantity, None, charge)


@pytest.mark.parametrize("value", ["gpt-*", "*", "a_b", "ü", 'q"uote', "100%", "a/b:c@d"])
def test_an_exact_value_is_never_a_wildcard(value: str) -> None:
    """What Envoy sends for a matched selector is what the service has a limit for, and nothing else is."""
    files = artifacts(route(rule(limit(5), headers=[header(MODEL, "Exact", value)])), backend("llm"))
    domain = parse(yaml.safe_dump(files["ratelimit/default.route.yaml"]), "f")
    (action, _) = _rate_limits(files)
    entries = [(a["descriptor_key"], a["descriptor_value"]) for each in action["actions"] for a in each.values()]
    limiter = Limiter([domain], lambda: 0.0)
    near = [entries[0], (entries[1][0], f"{entries[1][1]}x")]
    (hit,) = limiter.should_rate_limit(domain.name, [Descriptor(tuple(entries))]).statuses
    (miss,) = limiter.should_rate_limit(domain.name, [Descriptor(tuple(near))]).statuses
    assert (hit.code, hit.limit and hit.limit.requests_per_unit) == (Code.OK, 4)
    assert miss.limit is None


def _rate_limits(files: dict[str, Any]) -> list[dict[str, Any]]:
    manager = files["envoy.yaml"]["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    found: list[dict[str, Any]] = manager["route_config"]["virtual_hosts"][0]["routes"][0]["typed_per_filter_config"][
        "envoy.filters.http.ratelimit"
    ]["rate_limits"]
    return found


def test_every_selected_header_gets_a_stand_in() -> None:
    """But for the model's, which the filter reads; so no limit is skipped by leaving a header out."""
    headers = [header(MODEL, "Distinct"), header("X-User-Id", "Distinct"), header("X-Org", "Exact", "a")]
    (made,) = plan_of(route(rule(limit(1), headers=headers))).routes
    assert made.header_defaults == (("x-org", "unknown"), (USER, names.ANONYMOUS))


def ids(*rules: dict[str, Any]) -> list[str]:
    """Ids of a route's limits."""
    return [found.id for _, found in plan_of(route(*rules)).routes[0].limits()]


def test_a_limits_counter_depends_on_what_it_counts_only() -> None:
    """Other rules, the order of headers and another quantity leave its id; another unit or kind does not."""
    a, b = header(USER, "Distinct"), header(MODEL, "Exact", "m")
    (known,) = ids(rule(limit(10), headers=[a, b]))
    assert ids(rule(limit(5)), rule(limit(99), headers=[b, a]))[1] == known
    assert known not in ids(
        rule(limit(10, unit="Day"), headers=[a, b]),
        rule(limit(10, "Request"), headers=[a, b]),
        rule(limit(10), headers=[a]),
        rule(limit(10), headers=[a, header(MODEL, "Exact", "n")]),
    )


def test_two_limits_that_count_the_same_have_two_counters() -> None:
    """The service refuses a configuration with one chain twice."""
    first, second = ids(rule(limit(10)), rule(limit(20)))
    assert second == f"{first}-2"
    files = artifacts(route(rule(limit(10)), rule(limit(20))), backend("llm"))
    assert len(parse(yaml.safe_dump(files["ratelimit/default.route.yaml"]), "f").name) > 0


def test_a_request_limit_acts_once_and_a_token_limit_twice() -> None:
    """The check, and the charge when the stream is done; a quantity of 0 has nothing to charge."""
    rules = [rule(limit(5, "Request")), rule(limit(5)), rule(limit(0))]
    acts = [
        (a["hits_addend"], a.get("apply_on_stream_done", False))
        for a in _rate_limits(artifacts(route(*rules), backend("llm")))
    ]
    charge = {"format": "%DYNAMIC_METADATA(llmroute:total_tokens)%"}
    assert acts == [({"number": 1}, False), ({"number": 0}, False), (charge, True), ({"number": 1}, False)]


def test_several_backends_are_selected_by_header() -> None:
    """On Envoy Gateway all rules share one policy, so each names its backend; one backend needs no name."""
    two = compiled(route(name="r", a=[rule(limit(1))], b=[rule(limit(2))]))
    http, _, traffic = yaml.safe_load_all(two.artifacts[0].text)
    rules = traffic["spec"]["rateLimit"]["global"]["rules"]
    backends = [r["clientSelectors"][0]["headers"][0] for r in rules]
    assert backends == [{"type": "Exact", "name": names.BACKEND_HEADER, "value": b} for b in "ab"]
    assert [len(r["matches"]) for r in http["spec"]["rules"]] == [1, 1]
    http, _, traffic = yaml.safe_load_all(compiled(route(rule(limit(1)))).artifacts[0].text)
    assert "clientSelectors" not in traffic["spec"]["rateLimit"]["global"]["rules"][0]
    assert len(http["spec"]["rules"][0]["matches"]) == 2


def test_a_route_without_limits_still_reads_the_model() -> None:
    """No rate limit, but the filter and its buffer."""
    _, extension, traffic = yaml.safe_load_all(compiled(route()).artifacts[0].text)
    assert "rateLimit" not in traffic["spec"]
    assert traffic["spec"]["requestBuffer"] == {"limit": "4100Ki"}
    assert read_context(extension["spec"]["lua"][0]["filterContext"])["limits"] == []


def contexts(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """What each target tells the filter of a route with these fields in its ``spec``."""
    policy = route(rule(limit(1)))
    policy["spec"] |= spec
    _, extension, _ = yaml.safe_load_all(compiled(policy).artifacts[0].text)
    manager = artifacts(policy, backend("llm"))["envoy.yaml"]["static_resources"]["listeners"][0]
    routes = manager["filter_chains"][0]["filters"][0]["typed_config"]["route_config"]["virtual_hosts"][0]["routes"]
    plain = routes[0]["typed_per_filter_config"]["envoy.filters.http.lua"]["filter_context"]
    return [read_context(extension["spec"]["lua"][0]["filterContext"]), read_context(plain)]


USAGE = {"onMissing": "Estimate", "fixedTokens": 0, "onDisconnect": "Charge", "includeUsage": "Force"}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, {}),
        ({"onMissing": "Free"}, {"onMissing": "Free"}),
        ({"onMissing": "Fixed", "fixedTokens": 0}, {"onMissing": "Fixed"}),
        ({"onMissing": "Fixed", "fixedTokens": 10**9}, {"onMissing": "Fixed", "fixedTokens": 10**9}),
        ({"onDisconnect": "Free", "includeUsage": "Keep"}, {"onDisconnect": "Free", "includeUsage": "Keep"}),
    ],
)
def test_the_filter_is_told_how_to_meter(given: dict[str, Any], told: dict[str, Any]) -> None:
    """All four fields on both targets, with the defaults of what the policy leaves out."""
    assert [c["usage"] for c in contexts({"usage": given})] == [USAGE | told] * 2


def test_a_policy_without_usage_has_its_defaults() -> None:
    """The whole field may be left out."""
    assert [c["usage"] for c in contexts({})] == [USAGE] * 2


def test_the_filter_is_told_the_bound_on_tokens_where_there_is_one() -> None:
    """``maxTokens`` only when the policy has it; the bound on bodies always."""
    assert [(c["maxTokens"], c["bodyLimit"]) for c in contexts({"admission": {"maxTokens": 1000}})] == [
        (1000, 4 << 20)
    ] * 2
    unbounded: list[dict[str, Any]] = [{}, {"admission": {}}]
    for spec in unbounded:
        assert [("maxTokens" in c, c["bodyLimit"]) for c in contexts(spec)] == [(False, 4 << 20)] * 2


def test_a_plain_envoy_holds_what_the_filter_asks_for() -> None:
    """And 4 KiB for what the filter adds; no buffer filter in front, which would refuse a longer body."""
    files = artifacts(route(rule(limit(1))), backend("llm"))
    manager = files["envoy.yaml"]["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    assert [f["name"].rpartition(".")[2] for f in manager["http_filters"]] == ["lua", "ratelimit", "router"]
    (only,) = manager["route_config"]["virtual_hosts"][0]["routes"]
    assert only["request_body_buffer_limit"] == (4 << 20) + 4096


def test_without_a_namespace_there_is_none() -> None:
    """Who applies it chooses."""
    policy = route(rule(limit(1)))
    del policy["metadata"]["namespace"]
    assert all("namespace" not in d["metadata"] for d in yaml.safe_load_all(compiled(policy).artifacts[0].text))


def test_compiling_is_linear() -> None:
    """Ten times the routes take about ten times the CPU time: a square would take a hundred."""

    def seconds(count: int) -> float:
        routes = [route(name=f"r{i}", **{f"b{i}": [rule(limit(i + 1))]}) for i in range(count)]
        for each in routes:
            each["spec"]["targetRefs"] = [{"name": f"gateway-{each['metadata']['name']}"}]
        begun = time.process_time()
        assert len(compiled(*routes).artifacts) == 1
        return time.process_time() - begun

    seconds(5)
    assert seconds(400) < 40 * seconds(40)


@pytest.mark.parametrize(
    ("entry", "name"),
    [
        ({"fqdn": {"hostname": "llm.example.com", "port": 443}}, "llm.example.com"),
        ({"ip": {"address": "192.0.2.1", "port": 443}}, None),
    ],
    ids=["a name", "an address"],
)
def test_a_backend_with_tls(entry: dict[str, Any], name: str | None) -> None:
    """A plain Envoy speaks TLS to it, and both targets call it by its name, where it has one."""
    there = backend("llm")
    there["spec"] = {"endpoints": [entry], "tls": {"wellKnownCACertificates": "System"}}
    policy = route(rule(limit(1)))
    static = artifacts(policy, there)["envoy.yaml"]["static_resources"]
    (cluster,) = [c for c in static["clusters"] if c["name"].endswith("llm")]
    assert cluster["transport_socket"]["typed_config"].get("sni") == name
    manager = static["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    action = manager["route_config"]["virtual_hosts"][0]["routes"][0]["route"]
    assert action["host_rewrite_literal"] == (name or "192.0.2.1")
    (http,) = [d for d in yaml.safe_load_all(compiled(policy, there).artifacts[0].text) if d["kind"] == "HTTPRoute"]
    rewrite = [{"type": "URLRewrite", "urlRewrite": {"hostname": name}}] if name else None
    assert http["spec"]["rules"][0].get("filters") == rewrite
