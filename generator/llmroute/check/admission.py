"""Admission: modes that the target's rate limit service can carry out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from llmroute import codes
from llmroute.check.places import place
from llmroute.diagnostic import Diagnostic
from llmroute.plan import Mode, Plan, Settle
from llmroute.source import Document
from llmroute.targets import Capabilities

TO_COME: Final[frozenset[Mode | Settle]] = frozenset({Mode.PREPAID_PROMPT})
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
            elif value is Mode.RESERVE and route.admission.max_tokens is None:
                message = "mode: Reserve holds the longest answer of a request, and nothing says how long that is"
                yield Diagnostic(codes.ENDLESS_HOLD, origin, message, "add spec.admission.maxTokens")
            elif value in TO_COME:
                message = f"spec.admission.{field}: {value} is not supported by this version of llmroute"
                hint = "remove it; it would otherwise be ignored"
                yield Diagnostic(codes.NOT_YET, origin, message, hint)
