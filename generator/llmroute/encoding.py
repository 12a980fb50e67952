"""How a limit is told to envoyproxy/ratelimit, which refuses when its counter is ABOVE its limit.

A request limit of N is a limit of N with a check that costs 1. A token limit of N must refuse as
soon as N tokens are used (DESIGN 4.1), and its check costs nothing: it is a limit of N - 1. A
quantity of 0 must never admit, so its check costs 1 against a limit of 0.
"""

from __future__ import annotations

from dataclasses import dataclass

from llmroute.plan import Kind, Limit


@dataclass(frozen=True, slots=True)
class Encoded:
    """``reported``: the service's limit. ``check_cost``: hits of the check. ``charged``: whether usage is added."""

    reported: int
    check_cost: int
    charged: bool
    comment: str


def encode(limit: Limit) -> Encoded:
    """The encoding of ``limit``, with the comment that belongs beside it in the output."""
    per = f"{limit.quantity} {limit.kind} per {limit.unit.value.lower()}"
    if limit.quantity == 0:
        return Encoded(0, 1, charged=False, comment=f"{per}: never admits, so the check costs 1 against 0")
    if limit.kind is Kind.REQUESTS:
        return Encoded(limit.quantity, 1, charged=False, comment=per)
    comment = f"{per}: the service refuses above its limit, and the check costs 0, so the limit is N - 1"
    return Encoded(limit.quantity - 1, 0, charged=True, comment=comment)


def reported_limit(limit: Limit) -> int:
    """What the service calls the limit in its answers."""
    return encode(limit).reported
