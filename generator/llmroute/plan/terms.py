"""The terms on which a route serves: what an answer costs that does not say, and how requests are admitted."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from llmroute.diagnostic import Origin


class OnMissing(enum.StrEnum):
    """What a successful answer without usage is charged: an estimate, nothing, or a fixed number."""

    ESTIMATE = "Estimate"
    FREE = "Free"
    FIXED = "Fixed"


class OnDisconnect(enum.StrEnum):
    """What an answer is charged that its client did not wait for: what was seen of it, or nothing."""

    CHARGE = "Charge"
    FREE = "Free"


class IncludeUsage(enum.StrEnum):
    """Whether a stream is made to report its usage when the client did not ask for it."""

    FORCE = "Force"
    KEEP = "Keep"


@dataclass(frozen=True, slots=True)
class Usage:
    """How an answer is metered that does not say what it cost. ``fixed_tokens`` counts for ``FIXED`` alone."""

    on_missing: OnMissing
    fixed_tokens: int
    on_disconnect: OnDisconnect
    include_usage: IncludeUsage


class Mode(enum.StrEnum):
    """When tokens are booked: after the answer, the prompt before it, or all that it may take before it."""

    POST_PAID = "PostPaid"
    PREPAID_PROMPT = "PrepaidPrompt"
    RESERVE = "Reserve"


class Settle(enum.StrEnum):
    """Whether an answer's charge is booked just after its end, or before it."""

    ASYNC = "Async"
    SYNC = "Sync"


@dataclass(frozen=True, slots=True)
class Admission:
    """How a request is admitted. ``max_tokens`` bounds its answer, ``max_in_flight`` the requests at one time.

    None asks for no bound.
    """

    mode: Mode
    settle: Settle
    max_tokens: int | None
    max_in_flight: int | None
    origin: Origin
