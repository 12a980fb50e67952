"""``settle: Sync``: limits that the filter cannot charge itself, so that the next request can overtake the charge."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from llmroute import codes
from llmroute.check.places import Places
from llmroute.diagnostic import Diagnostic, Severity
from llmroute.plan import Plan, Route, Settle
from llmroute.settlement import by_usage, hindrance, unreadable
from llmroute.targets import Capabilities

_STILL: Final = "charges just after the answer, as with Async"


def check(plan: Plan, target: Capabilities, places: Places) -> Iterator[Diagnostic]:
    """One finding for a route of which nothing can be charged in time, else one for each such selector."""
    for route in plan.routes:
        if route.admission.settle is not Settle.SYNC:
            continue
        if reason := hindrance(route, target):
            known = route.admission.origin
            origin = places.beside(known, (*known.path, "settle"))
            hint = "add metadata.namespace" if route.namespace is None else "say settle: Async"
            yield Diagnostic(codes.SETTLED_LATE, origin, f"the proxy {_STILL}: {reason}", hint, Severity.WARNING)
        else:
            yield from _unreadable(route)


def _unreadable(route: Route) -> Iterator[Diagnostic]:
    found = (unreadable(limit) for _, limit in route.limits() if by_usage(route, limit))
    for selector in dict.fromkeys(selector for selector in found if selector):
        message = f"of a limit with this match the proxy {_STILL}: the filter has no RE2 to tell whether it applies"
        hint = "use Exact or Distinct, or say settle: Async"
        yield Diagnostic(codes.SETTLED_LATE, selector.origin, message, hint, Severity.WARNING)
