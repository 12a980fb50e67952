"""What the filter runs on: limits that it has to charge itself on that engine, and cannot."""

from __future__ import annotations

from collections.abc import Iterator

from llmroute import codes
from llmroute.diagnostic import Diagnostic
from llmroute.plan import Plan, Route
from llmroute.settlement import by_usage, hindrance, unreadable
from llmroute.targets import LUA, Capabilities


def check(plan: Plan, target: Capabilities) -> Iterator[Diagnostic]:
    """One finding for a route of which it knows no counter, else one for each selector that it cannot tell of."""
    if not target.filter_charges:
        return
    for route in plan.routes:
        if any(by_usage(route, limit) for _, limit in route.limits()):
            yield from _uncharged(route, target)


def _uncharged(route: Route, target: Capabilities) -> Iterator[Diagnostic]:
    charges = f"on {target.target} the {target.engine} filter charges answers itself"
    if reason := hindrance(route, target):
        hint = "add metadata.namespace" if route.namespace is None else f"say --engine {LUA}"
        yield Diagnostic(codes.NOT_CHARGED, route.origin, f"{charges}, and cannot: {reason}", hint)
        return
    found = (unreadable(limit) for _, limit in route.limits() if by_usage(route, limit))
    for selector in dict.fromkeys(selector for selector in found if selector):
        message = f"{charges}, and has no RE2 to tell whether this matches"
        yield Diagnostic(codes.NOT_CHARGED, selector.origin, message, f"use Exact or Distinct, or --engine {LUA}")
