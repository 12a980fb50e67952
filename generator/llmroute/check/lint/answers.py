"""Limits that one answer can go past alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from llmroute import codes
from llmroute.diagnostic import Diagnostic, Severity
from llmroute.encoding import counted
from llmroute.overshoot import added
from llmroute.plan import Limit, Mode, Route


def check(route: Route) -> Iterator[Diagnostic]:
    """Where ``maxTokens`` says how long an answer may be. Without it any limit is smaller than some answer."""
    for _, limit in route.limits():
        longest = _longest_answer(route, limit)
        if longest is not None and limit.quantity and longest > limit.quantity:
            message = (
                f"an answer of maxTokens: {route.admission.max_tokens} is {longest} {counted(limit)}, and this limit "
                f"has {limit.quantity}: the first request can go past it by itself"
            )
            hint = "lower spec.admission.maxTokens, or raise the quantity"
            yield Diagnostic(codes.SMALLER_THAN_AN_ANSWER, limit.origin, message, hint, Severity.WARNING)


def _longest_answer(route: Route, limit: Limit) -> int | None:
    """What it costs by ``limit``, without its prompt and whatever is booked before it; None without a bound."""
    return added(limit, dataclasses.replace(route.admission, mode=Mode.POST_PAID), prompt=0)
