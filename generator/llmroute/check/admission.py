"""Admission: modes that the target's rate limit service can carry out."""

from __future__ import annotations

from collections.abc import Iterator

from llmroute import codes
from llmroute.check.places import Places
from llmroute.diagnostic import Diagnostic, Origin
from llmroute.plan import Mode, Plan, Route
from llmroute.settlement import hindrance, prepays, unreadable
from llmroute.targets import Capabilities


def check(plan: Plan, target: Capabilities, places: Places) -> Iterator[Diagnostic]:
    """Of each route: its mode, or for ``PrepaidPrompt`` each selector that stands in the way."""
    for route in plan.routes:
        admission = route.admission
        origin = places.beside(admission.origin, (*admission.origin.path, "mode"))
        if admission.mode is Mode.PREPAID_PROMPT:
            yield from _prepaid(route, origin, target)
        elif admission.mode is Mode.RESERVE and not target.refunds:
            message = f"mode: Reserve gives back what was not used; {target.target}'s rate limit service cannot"
            hint = "use mode: PostPaid; llmroute run --ratelimit embedded takes refunds"
            yield Diagnostic(codes.NO_REFUNDS, origin, message, hint)
        elif admission.mode is Mode.RESERVE and admission.max_tokens is None:
            message = "mode: Reserve holds the longest answer of a request, and nothing says how long that is"
            yield Diagnostic(codes.ENDLESS_HOLD, origin, message, "add spec.admission.maxTokens")


def _prepaid(route: Route, origin: Origin, target: Capabilities) -> Iterator[Diagnostic]:
    """The filter has to make the check itself, of every limit that could refuse."""
    if reason := hindrance(route, target):
        hint = "add metadata.namespace" if route.namespace is None else "use mode: PostPaid"
        yield Diagnostic(codes.NOT_PREPAID, origin, f"the filter cannot book prompts: {reason}", hint)
        return
    found = (unreadable(limit) for _, limit in route.limits() if prepays(route, limit))
    for selector in dict.fromkeys(selector for selector in found if selector):
        message = (
            "with mode: PrepaidPrompt the filter itself admits requests, and has no RE2 to tell whether this matches"
        )
        yield Diagnostic(codes.NOT_PREPAID, selector.origin, message, "use Exact or Distinct, or mode: PostPaid")
