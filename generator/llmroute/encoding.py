"""How a limit is told to envoyproxy/ratelimit, which refuses when its counter is ABOVE its limit.

A request limit of N is a limit of N with a check that costs 1. A token limit of N must refuse as
soon as N tokens are used (DESIGN 4.1), and its check costs nothing: it is a limit of N - 1. A
quantity of 0 must never admit, so its check costs 1 against a limit of 0.

With ``admission.mode: Reserve`` the check of a token limit holds what the request may take, at least 1. A
service that refuses above its limit refuses when that does not fit any more, so the limit is N.

A shadow limit is counted when the answer ends and never checked: a check would show in the headers
of answers, and a shadow changes no byte of them.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from llmroute.plan import Admission, Kind, Limit, Mode, Token, Weights


class Charge(enum.Enum):
    """A number of hits that nobody knows before the request comes."""

    USAGE = enum.auto()
    """What the answer used, of what the limit counts; of that what was not held."""
    HOLD = enum.auto()
    """What the request may use at most."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """``reported``: the service's limit. ``check_cost``: hits of the check or ``Charge.HOLD``, None without one.

    ``charge``: what is added at the end of the answer: ``Charge.USAGE``, a number of hits, or nothing (0).
    """

    reported: int
    check_cost: Charge | int | None
    charge: Charge | int
    comment: str


def encode(limit: Limit, admission: Admission) -> Encoded:
    """The encoding of a route's ``limit``, with the comment that belongs beside it in the output."""
    per = in_words(limit)
    if limit.shadow:
        charge = 1 if limit.kind is Kind.REQUESTS else Charge.USAGE
        return Encoded(limit.quantity, None, charge, f"{per}, shadow: counted and never checked")
    if limit.quantity == 0:
        return Encoded(0, 1, 0, f"{per}: never admits, so the check costs 1 against 0")
    if limit.kind is Kind.REQUESTS:
        return Encoded(limit.quantity, 1, 0, per)
    if admission.mode is Mode.RESERVE:
        comment = f"{per}: the check holds what the request may take, so the limit is N; what is not used is given back"
        return Encoded(limit.quantity, Charge.HOLD, Charge.USAGE, comment)
    comment = f"{per}: the service refuses above its limit, and the check costs 0, so the limit is N - 1"
    return Encoded(limit.quantity - 1, 0, Charge.USAGE, comment)


def in_words(limit: Limit) -> str:
    """A limit as people say it: ``1000 prompt tokens per hour``."""
    return f"{limit.quantity} {counted(limit)} per {limit.unit.lower()}"


def counted(limit: Limit) -> str:
    """What the limit counts, in words: ``requests``, ``prompt tokens``, ``weighted tokens``."""
    if isinstance(limit.counts, Weights):
        return f"weighted {limit.kind}"
    return limit.kind if limit.counts is Token.TOTAL else f"{limit.counts.lower()} {limit.kind}"


def reported_limit(limit: Limit, admission: Admission) -> int:
    """What the service calls the limit in its answers."""
    return encode(limit, admission).reported
