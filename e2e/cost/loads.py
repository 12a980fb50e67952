"""What is asked for: answers, bodies and connections. Not every one with every other: a subset that shows each effect."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Final

KIB: Final = 1024
TOKENS: Final = 249
"""What every answer of ``tools/load`` reports."""


@dataclass(frozen=True, slots=True)
class Load:
    """``answer`` is ``json BYTES`` or ``sse DELTAS``, ``body`` the bytes of a request's body.

    ``usage``: whether a client asks for the usage of a stream. ``requests`` are driven through an Envoy at a time.
    """

    answer: str
    connections: int
    body: int
    usage: bool
    requests: int

    @property
    def name(self) -> str:
        """As the page calls it."""
        kind, size = self.answer.split()
        what = f"JSON {int(size) // KIB} KiB" if kind == "json" else f"SSE {int(size):,}"
        body = f", body {self.body // KIB} KiB" if self.body != KIB else ""
        return f"{what}{body}{'' if self.usage else ', usage not asked for'} x {self.connections}"

    @property
    def streams(self) -> bool:
        """Whether the answer is a stream."""
        return self.answer.startswith("sse")


_REQUESTS: Final = {"json 1024": 1200, "json 16384": 800, "sse 64": 800, "sse 1000": 64}
_BIG: Final = 200 * KIB
JSON: Final = Load("json 1024", 8, KIB, usage=True, requests=_REQUESTS["json 1024"])
ALONE: Final = Load("sse 64", 1, KIB, usage=True, requests=2000)
"""One client, one stream after the other: where added time is the gateway's and no queue's."""


def all_loads() -> Iterator[Load]:
    """Every answer on 1, 8 and 64 connections; the longest, big bodies, and streams whose usage nobody asks for, not on all."""
    for answer, connections in product(_REQUESTS, (1, 8, 64)):
        if (answer, connections) != ("sse 1000", 64):  # LiteLLM takes a CPU second for each of the 64
            load = Load(answer, connections, KIB, usage=True, requests=_REQUESTS[answer])
            yield ALONE if load.name == ALONE.name else load
    for answer in ("json 1024", "sse 64"):
        yield Load(answer, 8, _BIG, usage=True, requests=400)
    yield Load("sse 64", 8, KIB, usage=False, requests=800)


def few_loads() -> tuple[Load, ...]:
    """Two, for a minute's run."""
    return (JSON, ALONE)
