"""What comes back of a request, and what became of it on the way."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from llmroute.conformance.case import REFUSED
from llmroute.plan import Kind

_SHOWN: Final = 100
"""Characters of a body that a failed assertion shows."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer. ``headers`` are by lower-case name. ``reached``: whether the upstream saw the request.

    ``model`` and ``backend`` are what the upstream was told; None where it was not. ``charged`` says by how much the
    counter of each limit moved, by the limit's place in the policy, from 1; where nothing was charged it is not in it.
    """

    request: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    reached: bool
    model: str | None = None
    backend: str | None = None
    charged: Mapping[int, int] = field(default_factory=dict)

    @property
    def refused(self) -> bool:
        """Whether a limit refused it: a 429, and the upstream never saw the request. An upstream's own 429 is none."""
        return self.status == REFUSED and not self.reached

    @property
    def admitted(self) -> bool:
        """Whether it came to the upstream, whatever that answered."""
        return self.reached

    @property
    def remaining(self) -> int | None:
        """What remained of the tightest limit when the request was admitted; None where nothing is said."""
        return next((v for kind in Kind if (v := self._number(f"x-ratelimit-remaining-{kind}")) is not None), None)

    @property
    def retry_after(self) -> int | None:
        """Seconds that a refused client is told to wait."""
        return self._number("retry-after")

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            ValueError: it is none.
        """
        return json.loads(self.body)

    def _number(self, header: str) -> int | None:
        value = self.headers.get(header)
        return int(value) if value is not None else None

    def __repr__(self) -> str:
        """What pytest shows of it beside a failed assertion."""
        became = "admitted" if self.admitted else "refused" if self.refused else "turned away"
        said = [f"{self.request} -> {self.status} {became}"]
        if self.remaining is not None:
            said.append(f"remaining {self.remaining}")
        said += [f"charged {amount} to limit {limit}" for limit, amount in self.charged.items()]
        if not self.admitted:
            said.append(self.body.decode("utf-8", "replace")[:_SHOWN])
        return f"<{', '.join(said)}>"
