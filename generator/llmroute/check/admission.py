"""Admission: modes that the target's rate limit service can carry out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from llmroute import codes
from llmroute.check.places import place
from llmroute.diagnostic import Diagnostic, Origin
from llmroute.plan import Mode, Plan, Route, Settle
from llmroute.settlement import hindrance, prepays, unreadable
from llmroute.source import Document
from llmroute.targets import Capabilities

TO_COME: Final[frozenset[Mode | Settle]] = frozenset({Mode.RESERVE})
"""What no emitter carries out yet. Who makes one work takes it out of here, and nothing else refuses it."""


def check(plan: Plan, target: Capabilities, documents: Sequence[Document]) -> Iterator[Diagnostic]:
    """Of each route: one finding per field."""
    for route in plan.routes:
        known = route.admission.origin
        for field, value in (("mode", route.admission.mode), ("settle", route.admission.settle)):
            origin = place(documents, known, (*known.path, field))
            if value is Mode.RESERVE and not target.refunds:
                message = f"mode: Reserve gives back what was not used; {target.target}'s rate limit service cannot"
                hint = "use mode: PostPaid; llmroute run --ratelimit embedded takes refunds"
                yield Diagnostic(codes.NO_REFUNDS, origin, message, hint)
            elif value in TO_COME:
                message = f"spec.admission.{field}: {value} is not supported by this version of llmroute"
                hint = "remove it; it would otherwise be ignored"
                yield Diagnostic(codes.NOT_YET, origin, message, hint)
            elif value is Mode.PREPAID_PROMPT:
                yield from _prepaid(route, origin, target)


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
