"""Requests at one time, each in a thread of its own, and what became of all of them."""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from llmroute.conformance.case import Request, Together
from llmroute.conformance.checks import Check
from llmroute.conformance.exchange import NoAnswer, Sender
from llmroute.conformance.upstream import Script


class Flight(threading.Thread):
    """A request in a thread of its own."""

    def __init__(self, sender: Sender, request: Request, script: Script) -> None:
        super().__init__(daemon=True)
        self.request = request
        self.mark = uuid.uuid4().hex
        self.status = 0
        self.silence = ""
        """Why there is no answer."""
        self._sender = sender
        self._script = script

    def run(self) -> None:
        """Send it, and read its answer to the end."""
        try:
            self.status = self._sender.exchange(self.request, self._script, self.mark).status
        except NoAnswer as silence:
            self.status, self.silence = -1, str(silence)

    @property
    def reached(self) -> bool:
        """Whether the upstream has it."""
        return self._sender.upstream.served(self.mark) is not None

    @property
    def decided(self) -> bool:
        """Whether it is at the upstream, or back."""
        return bool(self.status) or self.reached


def of_flights(step: Together, flights: Sequence[Flight]) -> Iterator[Check]:
    """How many were admitted, and that no other reached the upstream."""
    statuses = Counter(flight.status for flight in flights)
    passed = statuses[200]
    least, most = step.admitted
    allowed = str(least) if least == most else f"{least} to {most}"
    yield Check("admitted", allowed, allowed if least <= passed <= most else str(passed))
    others = {status: n for status, n in statuses.items() if status not in {200, step.status}}
    silences = sorted({flight.silence for flight in flights if flight.silence})
    yield Check("answers of another status", "none", "; ".join(filter(None, (_counted(others), *silences))) or "none")
    leaked = sum(flight.reached and flight.status != 200 for flight in flights)
    yield Check("refused and yet at the upstream", 0, leaked)


def _counted(statuses: Mapping[int, int]) -> str:
    return ", ".join(f"{n} x {'no answer' if status < 0 else status}" for status, n in sorted(statuses.items()))
