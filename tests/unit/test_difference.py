"""What an edit changes: limits that come, go, or become tighter or looser."""

from __future__ import annotations

from typing import Any

import pytest

from llmroute.check.difference import RouteChange, difference
from llmroute.targets import COMPOSE, ENVOY, ENVOY_GATEWAY, capabilities
from tests.policies import MODEL, USER, compiled, header, limit, route, rule, with_spec

USERS, MINI = [header(USER, "Distinct")], [header(MODEL, "Exact", "mini")]


def changes(old: dict[str, Any], new: dict[str, Any], target: str = ENVOY_GATEWAY) -> tuple[RouteChange, ...]:
    """Between two policies."""
    return difference(compiled(old).plan, compiled(new).plan, capabilities(target))


def of_limits(old: dict[str, Any], new: dict[str, Any], target: str = ENVOY_GATEWAY) -> list[tuple[str, int, int]]:
    """What became of each limit, and its old and new quantity (-1: none)."""
    found = [each for change in changes(old, new, target) for each in change.limits]
    return [
        (each.change.value, each.old.limit.quantity if each.old else -1, each.new.limit.quantity if each.new else -1)
        for each in found
    ]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (limit(10), limit(9), "tightened"),
        (limit(10), limit(11), "loosened"),
        (limit(10), limit(0), "tightened"),
        (limit(10, unit="Hour"), limit(10, unit="Day"), "tightened"),
        (limit(10, unit="Day"), limit(10, unit="Hour"), "loosened"),
        (limit(10, unit="Hour"), limit(11, unit="Day"), "changed"),
        (limit(10, unit="Week"), limit(10, unit="Month"), "changed"),
        (limit(10), limit(10, shadow=True), "loosened"),
        (limit(10, shadow=True), limit(10), "tightened"),
        (limit(10, shadow=True), limit(11, shadow=True), "changed"),
        (limit(10), limit(10, token="Prompt"), "loosened"),
        (limit(10, token="Prompt"), limit(10, token="Completion"), "changed"),
        (limit(10, weights={"prompt": 2}), limit(10, weights={"prompt": 3}), "tightened"),
        (limit(10, weights={"prompt": 2}), limit(10, weights={"prompt": 3, "completion": 0.5}), "changed"),
        (limit(10), limit(10, weights={"prompt": 3}), "tightened"),
    ],
)
def test_one_limit(old: dict[str, Any], new: dict[str, Any], expected: str) -> None:
    """Tighter is what refuses whatever was refused before, whoever asks; looser is the other way round."""
    found = of_limits(route(rule(old, headers=USERS)), route(rule(new, headers=USERS)))
    assert found == [(expected, old["quantity"], new["quantity"])]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ([rule(limit(10))], [rule(limit(10)), rule(limit(5), headers=USERS)], [("added", -1, 5)]),
        ([rule(limit(10)), rule(limit(5), headers=USERS)], [rule(limit(10))], [("removed", 5, -1)]),
        ([rule(limit(10))], [rule(limit(10), headers=USERS)], [("added", -1, 10), ("removed", 10, -1)]),
        ([rule(limit(10))], [rule(limit(10, "Request"))], [("added", -1, 10), ("removed", 10, -1)]),
        ([rule(limit(10), headers=USERS)], [rule(limit(9), headers=USERS), rule(limit(8), headers=MINI)], [("tightened", 10, 9), ("added", -1, 8)]),
        ([rule(limit(10), limit(20, unit="Day"))], [rule(limit(20, unit="Day"), limit(12))], [("loosened", 10, 12)]),
        ([rule(limit(10), limit(20, shadow=True))], [rule(limit(20, shadow=True), limit(11))], [("loosened", 10, 11)]),
        ([rule(limit(10), headers=[*USERS, *MINI])], [rule(limit(10), headers=[*MINI, *USERS])], []),
    ],
)  # fmt: skip
def test_several_limits(
    old: list[dict[str, Any]], new: list[dict[str, Any]], expected: list[tuple[str, int, int]]
) -> None:
    """A limit for other requests, or of another kind, is another one; order is none."""
    assert of_limits(route(*old), route(*new)) == expected


def test_limits_of_backends() -> None:
    """One that moves to all backends holds for other requests."""
    old = route(a=[rule(limit(10))], b=[])
    assert of_limits(old, with_spec(route(a=[], b=[]), of_all=[rule(limit(10))])) == [
        ("added", -1, 10),
        ("removed", 10, -1),
    ]
    assert of_limits(old, route(a=[], b=[rule(limit(10))])) == [("added", -1, 10), ("removed", 10, -1)]


def test_what_is_written_otherwise_is_no_difference() -> None:
    """Defaults, and the way of writing."""
    old, new = route(rule(limit(10, unit="Minute"))), route(rule({"type": "Token", "quantity": 10}))
    assert changes(old, with_spec(new, admission={"mode": "PostPaid"}, usage={"onMissing": "Estimate"})) == ()


def test_routes_that_come_and_go() -> None:
    """All their limits do; another namespace is another route."""
    old, new = route(rule(limit(10)), name="a"), route(rule(limit(20)), name="b")
    found = changes(old, new)
    assert [(c.name, c.change, [e.change.value for e in c.limits], c.counters) for c in found] == [
        (("default", "b"), "added", ["added"], ()),
        (("default", "a"), "removed", ["removed"], ()),
    ]


def test_terms() -> None:
    """Each field that says something else; no key is told."""
    keys = {"apiKey": {"credentialRefs": [{"name": "keys"}]}}
    old = with_spec(route(rule(limit(10))), admission={"maxTokens": 5}, identity=keys)
    jwt = {
        "jwt": {
            "claim": "a.b",
            "provider": {"name": "sso", "localJWKS": {"inline": '{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}'}},
        }
    }
    new = with_spec(route(rule(limit(10))), admission={"settle": "Sync", "maxInFlight": 3}, identity=jwt)
    (change,) = changes(old, new)
    assert [(t.field, t.old, t.new) for t in change.terms] == [
        ("spec.identity.onMissing", "Reject", "Anonymous"),
        ("spec.identity.jwt", "", "claim a.b of sso (any issuer; any audience; keys in the policy)"),
        ("spec.identity.apiKey", "Secrets keys; from x-api-key", ""),
        ("spec.admission.settle", "Async", "Sync"),
        ("spec.admission.maxTokens", "5", ""),
        ("spec.admission.maxInFlight", "", "3"),
    ]


def test_backends_and_models() -> None:
    """By name."""
    old, new = route(a=[], b=[]), route(a=[], c=[])
    new["spec"]["backends"][0]["models"] = ["m", "*"]
    (change,) = changes(old, new)
    assert [(t.field, t.old, t.new) for t in change.terms] == [
        ("spec.backends", "a, b", "a, c"),
        ("spec.backends[a].models", "", "m, *"),
    ]


@pytest.mark.parametrize(("target", "expected"), [(ENVOY_GATEWAY, ["LR045", "LR046"]), (ENVOY, []), (COMPOSE, [])])
def test_counters(target: str, expected: list[str]) -> None:
    """A rule before another: on Envoy Gateway it takes the counter over, and the other's begins at zero."""
    old, new = route(rule(limit(10), headers=MINI)), route(rule(limit(9)), rule(limit(10), headers=MINI))
    new["spec"]["backends"][0]["trafficPolicy"]["rateLimit"]["rules"][0] = rule(
        limit(9), headers=[header(MODEL, "Exact", "maxi")]
    )
    (change,) = changes(old, new, target)
    assert [d.code.id for d in change.counters] == expected


@pytest.mark.parametrize("target", [ENVOY_GATEWAY, ENVOY])
@pytest.mark.parametrize(
    ("old", "new", "restarts"),
    [
        (limit(10, unit="Hour"), limit(10, unit="Day"), True),
        (limit(10), limit(9), False),
        (limit(10), limit(10, shadow=True), False),
        (limit(10, weights={"prompt": 2}), limit(10, weights={"prompt": 3}), False),
    ],
)
def test_limits_that_count_from_zero(target: str, old: dict[str, Any], new: dict[str, Any], restarts: bool) -> None:
    """With another window the counter has another name."""
    (change,) = changes(route(rule(old)), route(rule(new)), target)
    assert [each.restarts for each in change.limits] == [restarts]
