"""What the clients of a soak do: a request, what the upstream answers to it, and how it ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

from llmroute.conformance.case import HELLO
from llmroute.conformance.rows import SSE, data, delta, usage
from llmroute.conformance.upstream import Break, Chunk, Script

MODELS: Final = ("gpt-4o", "gpt-4o-mini", "o3", "text-small")
WORDS: Final = str(HELLO[0]["content"])
MOST: Final = 120
"""Tokens of the longest answer with its prompt."""
_WAITS: Final = "never"
"""Nobody releases this name: what holds for it ends when its client has left."""
_JSON: Final = {"content-type": "application/json"}


@dataclass(frozen=True, slots=True)
class Deed:
    """What a client does.

    ``share`` is how often, in relation to the others. ``status`` is what it gets unless it is refused; None: the
    connection ends before there is one whole answer. ``leaves_at`` are the bytes on whose arrival it leaves.
    """

    name: str
    share: int
    script: Callable[[Random], Script]
    status: int = 200
    stream: bool = False
    asked: bool = False
    leaves_at: bytes | None = None
    cut: bool = False

    @property
    def options(self) -> dict[str, object]:
        """What its request says beside model and messages."""
        return {"stream_options": {"include_usage": True}} if self.asked else {}


def _reported(random: Random) -> dict[str, int]:
    prompt, completion = random.randint(1, MOST // 2), random.randint(0, MOST // 2)
    return usage(prompt + completion, prompt, completion)


def _deltas(random: Random) -> bytes:
    return b"".join(data(delta()) for _ in range(random.randint(1, 12)))


def _whole(random: Random) -> Script:
    return Script(usage=_reported(random), delay_ms=random.choice((0, 0, 5, 40)))


def _streamed(random: Random) -> Script:
    return Script(usage=_reported(random), deltas=random.randint(0, 20), delta_delay_ms=random.choice((0, 0, 2)))


def _left_after_usage(random: Random) -> Script:
    said = data({"choices": [], "usage": _reported(random)})
    return Script(headers=SSE, chunks=(Chunk(_deltas(random)), Chunk(said), Chunk(data("[DONE]"), hold=_WAITS)))


def _left_before_usage(random: Random) -> Script:
    said = data({"choices": [], "usage": _reported(random)})
    return Script(headers=SSE, chunks=(Chunk(_deltas(random) + data(delta("last"))), Chunk(said, hold=_WAITS)))


def _broken_after_usage(random: Random) -> Script:
    said = data({"choices": [], "usage": _reported(random)})
    return Script(headers=SSE, chunks=(Chunk(_deltas(random)), Chunk(said), Chunk(b"")), break_after=Break("chunks", 2))


def _broken_before_usage(random: Random) -> Script:
    return Script(headers=SSE, chunks=(Chunk(_deltas(random)),), break_after=Break("chunks", 1))


def _failed(random: Random) -> Script:
    body = {"error": {"message": "not ours"}, "usage": _reported(random)}
    return Script(status=500, headers=_JSON, body=body)


def _untold(random: Random) -> Script:
    return Script(usage="absent", deltas=random.randint(0, 30))


DEEDS: Final = (
    Deed("JSON", 40, _whole),
    Deed("stream, usage asked for", 15, _streamed, stream=True, asked=True),
    Deed("stream, usage not asked for", 20, _streamed, stream=True),
    Deed("JSON without usage", 5, _untold),
    Deed("client leaves after the usage", 5, _left_after_usage, stream=True, asked=True, leaves_at=b'"usage"'),
    Deed("client leaves before the usage", 5, _left_before_usage, stream=True, leaves_at=b'"last"'),
    Deed("upstream breaks off after the usage", 3, _broken_after_usage, stream=True, asked=True, cut=True),
    Deed("upstream breaks off before the usage", 2, _broken_before_usage, stream=True, cut=True),
    Deed("upstream says 500", 4, _failed, status=500),
    Deed("upstream closes without an answer", 1, lambda _: Script(break_after=Break("request")), status=503),
)
