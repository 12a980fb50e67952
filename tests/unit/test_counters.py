"""What an edit does to live counters, told from what the targets call them."""

from __future__ import annotations

from typing import Any

import pytest

from llmroute.check.counters import by_place, moved
from llmroute.diagnostic import Severity
from llmroute.emit.eg_names import entries
from llmroute.plan import Match
from llmroute.targets import COMPOSE, ENVOY, ENVOY_GATEWAY, capabilities
from tests.policies import MODEL, USER, compiled, header, limit, route, rule, with_spec

Rules = list[dict[str, Any]]
A = rule(limit(10), headers=[header(MODEL, "Exact", "a")])
B = rule(limit(20), headers=[header(MODEL, "Exact", "b")])
USERS = rule(limit(30), headers=[header(USER, "Distinct")])
DAILY = rule(limit(40, unit="Day"), headers=[header(MODEL, "Exact", "d")])
CHEAP, DEAR = limit(10, weights={"completion": 2}), limit(10, weights={"completion": 4})


def said(old: dict[str, Any], new: dict[str, Any], target: str = ENVOY_GATEWAY) -> list[tuple[str, int, str]]:
    """Code, index of the rule and message of each warning."""
    found = moved(compiled(old).plan, compiled(new).plan, capabilities(target))
    for finding in found:
        assert finding.severity is Severity.WARNING
        assert finding.hint
        assert finding.origin.line > 0
    return [(d.code.id, int(d.origin.path[d.origin.path.index("rules") + 1]), d.message) for d in found]


def codes_of(old: Rules, new: Rules, target: str = ENVOY_GATEWAY) -> list[tuple[str, int]]:
    """Of two routes with one backend each."""
    return [(code, index) for code, index, _ in said(route(*old), route(*new), target)]


@pytest.mark.parametrize("target", [ENVOY_GATEWAY, ENVOY, COMPOSE])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ([A, B], [A, B]),
        ([A], [A, B, DAILY]),
        ([A, B], [A]),
        ([A], [rule(limit(99), headers=A["headers"])]),
        ([A], [rule(limit(10, shadow=True), headers=A["headers"])]),
        ([rule(CHEAP)], [rule(DEAR)]),
        ([], [A]),
    ],
)
def test_edits_that_move_no_counter(old: Rules, new: Rules, target: str) -> None:
    """More at the end, less at the end, another quantity, a shadow, other weights."""
    assert codes_of(old, new, target) == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ([A, B], [B, A], [("LR045", 0), ("LR045", 1)]),
        ([A, B], [B], [("LR045", 0)]),
        ([A], [B, A], [("LR045", 0), ("LR046", 1)]),
        ([A], [B], [("LR045", 0)]),
        ([A], [rule(limit(10, "Request"), headers=A["headers"])], [("LR045", 0)]),
        ([A], [rule(limit(10, token="Prompt"), headers=A["headers"])], [("LR045", 0)]),
        ([A], [DAILY, A], [("LR046", 1)]),
        ([A], [USERS, A], [("LR046", 1)]),
        ([DAILY, A], [A], [("LR046", 0)]),
        ([rule(CHEAP, DEAR)], [rule(DEAR, CHEAP)], [("LR045", 0), ("LR045", 0)]),
    ],
)
def test_counters_by_place(old: Rules, new: Rules, expected: list[tuple[str, int]]) -> None:
    """On Envoy Gateway a limit takes over the counter of the one in its place before, if both look alike there.

    With another window, or with another form of selectors, the one there is not found; its own stays behind.
    """
    assert codes_of(old, new) == expected


def test_both_places_are_told() -> None:
    """Where the limit stands now, and where the counter's own stood."""
    (_, _, first), (_, _, second) = said(route(A), route(B, A))
    assert first == (
        "20 tokens per hour would go on with the counter of 10 tokens per hour at policy.yaml:22:23: "
        "the rate limit service takes the one for the other"
    )
    assert second == (
        "10 tokens per hour, before at policy.yaml:22:23, would count from zero: its counter stays behind"
    )


@pytest.mark.parametrize("target", [ENVOY, COMPOSE])
def test_counters_by_what_they_count(target: str) -> None:
    """On a plain Envoy order does not matter, but among limits that count the same but for their weights."""
    assert codes_of([A, B], [USERS, DAILY, B, A], target) == []
    assert codes_of([A], [B], target) == [], "another limit, with a counter of its own"
    assert codes_of([rule(limit(10), limit(20))], [rule(limit(20), limit(10))], target) == [], "both counted the same"
    assert codes_of([rule(CHEAP, DEAR)], [rule(DEAR, CHEAP)], target) == [("LR045", 0), ("LR045", 0)]
    assert codes_of([rule(CHEAP, DEAR)], [rule(DEAR)], target) == [("LR045", 0)]


def test_another_backend() -> None:
    """The second makes each limit select on its backend: on Envoy Gateway every counter is another then."""
    one, two = route(a=[A, B]), route(a=[A, B], b=[])
    assert [c[:2] for c in said(one, two)] == [("LR046", 0), ("LR046", 1)]
    assert [c[:2] for c in said(two, one)] == [("LR046", 0), ("LR046", 1)]
    assert said(one, two, ENVOY) == []
    more = with_spec(route(a=[A, B], b=[]), of_all=[USERS])
    assert said(two, more) == [], "limits across all backends come last"
    assert [c[0] for c in said(more, with_spec(route(a=[A, B, DAILY], b=[]), of_all=[USERS]))] == ["LR046"]


def test_routes_are_told_apart_by_name_and_namespace() -> None:
    """A route that is new, or gone, hands over nothing; no namespace is the default one."""
    assert said(route(A, name="x"), route(B, name="y")) == []
    elsewhere = route(B)
    elsewhere["metadata"]["namespace"] = "elsewhere"
    assert said(route(A), elsewhere) == []
    unnamed = route(B)
    del unnamed["metadata"]["namespace"]
    assert [c[0] for c in said(route(A), unnamed)] == ["LR045"]


def test_a_place_is_what_envoy_gateway_calls_a_counter() -> None:
    """Two limits have one place when their descriptors are one: ``e2e/test_translate.py`` has seen those made.

    But for the window, which the service adds to the key, and for the name of a Distinct header.
    """
    several = [A, B, USERS, DAILY, rule(limit(1)), rule(limit(2), headers=[header(USER, "Distinct"), *A["headers"]])]
    policies = [route(*several), route(*several[::-1]), route(a=several, b=several[::-1]), route(a=[], b=several[::-1])]
    named: dict[object, set[object]] = {}
    for made in (compiled(with_spec(policy, of_all=several)).plan.routes[0] for policy in policies):
        for index, (backend, one) in enumerate(made.limits()):
            distinct = [s.header for s in one.selectors if s.match is Match.DISTINCT]
            told = (*entries(made, index, backend, one), one.unit, *distinct)
            named.setdefault(by_place(index, made, backend, one), set()).add(told)
    assert [len(told) for told in named.values()] == [1] * len(named)
    assert len(set.union(*named.values())) == len(named)
