"""Counters as a test sees them: by the limit that they are of, and by whose they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from llmroute.encoding import in_words
from llmroute.explain import live
from llmroute.explain.counters import Counter as Named
from llmroute.plan import Plan, Route
from llmroute.testing.policy import target


@dataclass(frozen=True, slots=True)
class Counter:
    """One counter of a running window. ``limit`` is the limit's place in the policy, from 1.

    ``of`` has the value of each Distinct header, by its name. ``used`` and ``quantity`` are in tokens or requests.
    """

    limit: int
    words: str
    of: Mapping[str, str]
    used: int
    quantity: int

    @property
    def left(self) -> int:
        """What is left of the quantity; never below 0."""
        return max(0, self.quantity - self.used)

    def __str__(self) -> str:
        of = f" of {', '.join(self.of.values())}" if self.of else ""
        return f"limit {self.limit} ({self.words}){of}: {self.used} used"


def limit_of(plan: Plan, route: Route, named: Named) -> int:
    """The limit's place in the policy, from 1."""
    before = plan.routes[: plan.routes.index(route)]
    return sum(len(list(each.limits())) for each in before) + named.place


def counters(plan: Plan, hits: Mapping[str, int], now: float) -> Iterator[Counter]:
    """What ``hits`` (by the counters' keys) say at ``now`` (Unix seconds), of counters that are not 0."""
    for route in plan.routes:
        for each in live(route, target(), hits, now):
            limit = each.counter.limit
            if each.used:
                place = limit_of(plan, route, each.counter)
                yield Counter(place, in_words(limit), each.values, each.used, limit.quantity)
