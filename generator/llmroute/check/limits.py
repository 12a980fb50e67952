"""Limits: as many as the target takes, weights that add up, and told apart where answers name them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from llmroute import codes
from llmroute.check.places import Places
from llmroute.diagnostic import Diagnostic, Severity
from llmroute.encoding import reported_limit
from llmroute.plan import Admission, Limit, Plan, Unit, Weights
from llmroute.targets import Capabilities


def check(plan: Plan, target: Capabilities, places: Places) -> Iterator[Diagnostic]:
    """Units, weights, number of limits, look-alikes."""
    for route in plan.routes:
        limits = [limit for _, limit in route.limits()]
        for limit in limits:
            yield from _unit(limit, target)
            if isinstance(limit.counts, Weights):
                yield from _weights(limit, limit.counts, places)
        if len(limits) > target.max_rules:
            message = f"{target.target} takes {target.max_rules} limits in a route, not {len(limits)}"
            hint = "split the route by backend into several LLMRoutes"
            yield Diagnostic(codes.TOO_MANY, limits[target.max_rules].origin, message, hint)
        yield from _look_alikes(limits, route.admission)


def _unit(limit: Limit, target: Capabilities) -> Iterator[Diagnostic]:
    if limit.unit not in target.units:
        message = f"{target.target} {target.version} has no window of a {limit.unit.lower()}"
        known = [unit.value for unit in Unit if unit in target.units]
        hint = f"use {', '.join(known[:-1])} or {known[-1]}"
        yield Diagnostic(codes.UNKNOWN_UNIT, limit.origin, message, hint)


def _weights(limit: Limit, weights: Weights, places: Places) -> Iterator[Diagnostic]:
    if not any(dataclasses.astuple(weights)):
        origin = places.beside(limit.origin, (*limit.origin.path[:-1], "weights"))
        message = "all weights are 0, so this limit counts nothing and never refuses"
        yield Diagnostic(codes.NO_WEIGHT, origin, message, "give the tokens that it is to count a weight")


def _look_alikes(limits: list[Limit], admission: Admission) -> Iterator[Diagnostic]:
    """The service names the tightest limit by its number and window alone; a shadow it never names.

    Limits of different tokens with one quantity say the same in the headers, so they may look alike.
    """
    first: dict[tuple[int, Unit], Limit] = {}
    for limit in limits:
        if limit.shadow:
            continue
        other = first.setdefault((reported_limit(limit, admission), limit.unit), limit)
        if (other.kind, other.quantity) != (limit.kind, limit.quantity):
            message = (
                f"{limit.quantity} {limit.kind} per {limit.unit.value.lower()} looks to the rate limit service like "
                f"{other.quantity} {other.kind} ({other.origin}): answers may name the wrong one of the two"
            )
            hint = "the limits hold all the same; change one quantity by 1 to tell them apart"
            yield Diagnostic(codes.AMBIGUOUS_HEADERS, limit.origin, message, hint, Severity.WARNING)
