"""Limits: as many as the target takes, and told apart where answers name them."""

from __future__ import annotations

from collections.abc import Iterator

from llmroute import codes
from llmroute.diagnostic import Diagnostic, Severity
from llmroute.encoding import reported_limit
from llmroute.plan import Limit, Plan, Unit
from llmroute.targets import Capabilities


def check(plan: Plan, target: Capabilities) -> Iterator[Diagnostic]:
    """Units, number of limits, look-alikes."""
    for route in plan.routes:
        limits = [limit for _, limit in route.limits()]
        for limit in limits:
            if limit.unit not in target.units:
                message = f"{target.target} {target.version} has no window of a {limit.unit.value}"
                yield Diagnostic(codes.WRONG_VALUE, limit.origin, message)
        if len(limits) > target.max_rules:
            message = f"{target.target} takes {target.max_rules} limits in a route, not {len(limits)}"
            hint = "split the route by backend into several LLMRoutes"
            yield Diagnostic(codes.TOO_MANY, limits[target.max_rules].origin, message, hint)
        yield from _look_alikes(limits)


def _look_alikes(limits: list[Limit]) -> Iterator[Diagnostic]:
    """The service names the tightest limit by its number and window alone."""
    first: dict[tuple[int, Unit], Limit] = {}
    for limit in limits:
        other = first.setdefault((reported_limit(limit), limit.unit), limit)
        if (other.kind, other.quantity) != (limit.kind, limit.quantity):
            message = (
                f"{limit.quantity} {limit.kind} per {limit.unit.value.lower()} looks to the rate limit service like "
                f"{other.quantity} {other.kind} ({other.origin}): answers may name the wrong one of the two"
            )
            hint = "the limits hold all the same; change one quantity by 1 to tell them apart"
            yield Diagnostic(codes.AMBIGUOUS_HEADERS, limit.origin, message, hint, Severity.WARNING)
