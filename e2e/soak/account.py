"""What every counter has to be, by the ledger of the upstream."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator

from e2e.soak.owed import Owed, owed
from llmroute.conformance.upstream import MARK_HEADER, ScriptedUpstream
from llmroute.names import USER_HEADER

Counted = tuple[int, tuple[str, ...]]
"""A counter: a limit of the policy, and the values of its Distinct headers."""


class Account:
    """What every counter has to be, by the upstream's ledger; each record is read once, when nothing more comes of it."""

    def __init__(self, upstream: ScriptedUpstream) -> None:
        self.due: dict[Counted, int] = defaultdict(int)
        self.marks: set[str | None] = set()
        self._upstream = upstream
        self._begun = self._read = len(upstream.requests())

    def read(self) -> None:
        """Read on; nothing is in flight."""
        for served in self._upstream.wait_for(lambda requests: all(each.finished for each in requests))[self._read :]:
            user, model = served.header(USER_HEADER) or "", json.loads(served.body)["model"]
            for counted, tokens in _counters(user, model, owed(served)):
                self.due[counted] += tokens
            self.marks.add(served.header(MARK_HEADER))
            self._read += 1

    @property
    def served(self) -> int:
        """How many requests it has read of."""
        return self._read - self._begun


def _counters(user: str, model: str, due: Owed) -> Iterator[tuple[Counted, int]]:
    """Which counters of the policy an answer moves, and by how much."""
    yield (0, ()), due.total
    yield (1, (user,)), due.total
    yield (2, (model,)), due.prompt
    yield (3, (model,)), due.completion
    yield (4, (user, model)), due.total
