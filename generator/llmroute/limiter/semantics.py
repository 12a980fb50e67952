"""What a limit of an LLMRoute means, said in code: the oracle that encodings are tested against (DESIGN 4).

A limit has a *quantity*, the number that the policy's author wrote. What proxies are configured with
(N - 1, zero-cost checks) is an encoding of this and appears nowhere here.

- A request is **admitted** while ``used < quantity`` holds for every limit that applies to it. A quantity
  of 0 never admits. A shadow limit counts and never refuses.
- A **Request** limit is charged 1 on admission.
- A **Token** limit is charged once, when the answer ends, with the tokens that the answer took, to the
  window in which it *ends*. The request that crosses the limit completes, and so do all that were
  admitted beside it: the overshoot is what is in flight.
- A **refused** request charges nothing.

Stock proxies deviate in one place, because the rate limit service moves every counter of a call: a request
that *another* limit refuses still counts as a request. ``refused_count_as_requests`` is that behaviour.
It makes no difference to the Request limit that refuses by itself, nor to any Token limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from llmroute.limiter.window import Clock, Unit, window_start


@dataclass(frozen=True, slots=True)
class PolicyLimit:
    """One limit as it applies to one subject (a user, a model, everybody), which ``subject`` names.

    ``quantity`` is in requests or tokens per window of ``unit``; 0 and more.
    """

    subject: str
    type: Literal["Request", "Token"]
    quantity: int
    unit: Unit
    shadow: bool = False


class ReferenceLimiter:
    """Admits and charges by quantity. Not for service: it forgets nothing."""

    def __init__(self, clock: Clock, *, refused_count_as_requests: bool = False) -> None:
        self._clock = clock
        self._refused_count_as_requests = refused_count_as_requests
        self._used: dict[tuple[PolicyLimit, int], int] = {}

    def admit(self, limits: Sequence[PolicyLimit]) -> bool:
        """Tell whether a request to which ``limits`` apply goes through, and charge the Request limits."""
        admitted = all(limit.shadow or self.used(limit) < limit.quantity for limit in limits)
        if admitted or self._refused_count_as_requests:
            self._add([limit for limit in limits if limit.type == "Request"], 1)
        return admitted

    def charge(self, limits: Sequence[PolicyLimit], tokens: int) -> None:
        """Book what the answer to an admitted request took; call it once, at the answer's end."""
        self._add([limit for limit in limits if limit.type == "Token"], tokens)

    def used(self, limit: PolicyLimit) -> int:
        """Requests or tokens that the running window has counted."""
        return self._used.get(self._window(limit), 0)

    def remaining(self, limit: PolicyLimit) -> int:
        """What is left of the quantity, never below 0 (DESIGN 4.9)."""
        return max(0, limit.quantity - self.used(limit))

    def _add(self, limits: Sequence[PolicyLimit], amount: int) -> None:
        for limit in limits:
            window = self._window(limit)
            self._used[window] = self._used.get(window, 0) + amount

    def _window(self, limit: PolicyLimit) -> tuple[PolicyLimit, int]:
        return limit, window_start(limit.unit, self._clock())
