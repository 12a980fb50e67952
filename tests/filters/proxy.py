"""The filter on some engine, in a fake Envoy that a test can drive byte by byte."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from llmroute import names
from llmroute.render.lua import JSON

ENGINES: Final = ("luajit21", "lua51")
"""LuaJIT is what Envoy runs; Lua 5.1 is nearest to what EG's validator runs."""
WASM: Final = "wasm"
"""The same contract in C, on wasmtime."""
GATED: Final = "wasm-gated"
"""The same, where the host lets nobody hold headers who wants the body: a second filter holds them."""
EVERY: Final = (ENGINES[0], *(pytest.param(name, marks=pytest.mark.slow) for name in (*ENGINES[1:], WASM)))
"""For tests of the contract. ``make test`` has LuaJIT, ``make test-engines`` the others."""
EVERY_LUA: Final = EVERY[: len(ENGINES)]
"""The same for what is about Lua alone."""

CONTEXT: Final[JSON] = {
    "version": 1,
    "modelHeader": names.MODEL_HEADER,
    "defaults": {names.USER_HEADER: names.ANONYMOUS, "x-org": names.UNKNOWN},
    "limits": [
        {"reported": 9, "window": 60, "kind": "tokens", "quantity": 10, "unit": "minute"},
        {"reported": 5, "window": 60, "kind": "requests", "quantity": 5, "unit": "minute"},
        {"reported": 0, "window": 3600, "kind": "tokens", "quantity": 0, "unit": "hour"},
        {"reported": 7, "window": 60, "kind": "requests", "quantity": 7, "unit": "minute"},
        {"reported": 7, "window": 60, "kind": "tokens", "quantity": 8, "unit": "minute"},
        {"reported": 7, "window": 3600, "kind": "tokens", "quantity": 8, "unit": "hour"},
    ],
}

Headers = list[tuple[str, str]]
Fail = Callable[[bytes, object], bool]
Service = Callable[[str, dict[str, str], bytes, int, bool], tuple[dict[str, str], bytes | None]]
JSON_ANSWER: Final[Headers] = [(":status", "200"), ("content-type", "application/json")]
SSE_ANSWER: Final[Headers] = [(":status", "200"), ("content-type", "text/event-stream")]


@dataclass(frozen=True, slots=True)
class Sent:
    """A message before the filter: without ``chunks`` its headers end it, with ``trailers`` not the last chunk.

    ``watch``: the metadata is wanted after each piece.
    """

    headers: Headers
    chunks: Sequence[bytes] | None
    trailers: bool = False
    watch: bool = False


@dataclass
class Message:
    """A request or an answer as it went on."""

    headers: Headers
    chunks: list[bytes]
    seen: list[dict[str, Any]] = field(default_factory=list)
    """The filter's metadata after each chunk, when it was watched."""

    @property
    def body(self) -> bytes:
        """All of the body."""
        return b"".join(self.chunks)

    def all(self, name: str) -> list[str]:
        """Every value of a header."""
        return [value for key, value in self.headers if key == name]

    def header(self, name: str) -> str | None:
        """The value of a header that is there once or not at all."""
        values = self.all(name)
        assert len(values) <= 1, (name, values)
        return values[0] if values else None


class Engine(ABC):
    """The filter loaded, as one worker of Envoy has it."""

    name: str

    @abstractmethod
    def stream(self, context: JSON = CONTEXT, fail: Fail | None = None) -> Stream:
        """A new request through this engine. ``fail`` says which writes of metadata raise."""


class Stream(ABC):
    """One request and its answer."""

    @property
    @abstractmethod
    def metadata(self) -> dict[str, Any]:
        """What the filter has written so far."""

    @abstractmethod
    def tell(self, namespace: str, value: JSON) -> None:
        """Dynamic metadata that another filter has written before."""

    @property
    @abstractmethod
    def response(self) -> tuple[dict[str, str], bytes] | None:
        """Headers and body of the filter's own answer to the request, which then goes nowhere."""

    @abstractmethod
    def serve(self, service: Service) -> None:
        """What answers calls, by cluster, headers, body, timeout and whether nobody waits: headers and body."""

    @property
    @abstractmethod
    def logs(self) -> list[str]:
        """What the filter has logged as errors."""

    @property
    @abstractmethod
    def writes(self) -> int:
        """How often the filter has written metadata."""

    def request(
        self,
        body: bytes | None = None,
        headers: Iterable[tuple[str, str]] = (),
        *,
        path: str = "/v1/chat/completions",
        method: str = "POST",
    ) -> Message:
        """Send a request through the filter; returns what the upstream gets."""
        sent = [(":method", method), (":path", path), *headers]
        if body is not None:
            sent.append(("content-length", str(len(body))))
        return self._run("request", Sent(sent, None if body is None else [body]))

    def answer(
        self,
        chunks: Sequence[bytes] | None,
        headers: Iterable[tuple[str, str]] = JSON_ANSWER,
        *,
        trailers: bool = False,
        watch: bool = False,
    ) -> Message:
        """Send an answer back; returns what the client gets, and the metadata on the way when asked to watch."""
        return self._run("response", Sent(list(headers), chunks, trailers, watch))

    @abstractmethod
    def _run(self, entry: str, sent: Sent) -> Message:
        """Runs a ``request`` or a ``response``."""


def engine_named(name: str) -> Engine:
    """A new engine: one of ``ENGINES``, ``WASM`` or ``GATED``."""
    # Here, as both are made of what is above.
    if name in {WASM, GATED}:
        from tests.filters.wasm_engine import WasmEngine

        return WasmEngine(gated=name == GATED)
    from tests.filters.lua_engine import LuaEngine

    return LuaEngine(name)


def tokens(metadata: dict[str, Any]) -> tuple[int, int, int, str]:
    """Prompt, completion, total and where they come from."""
    keys = (names.PROMPT_TOKENS, names.COMPLETION_TOKENS, names.TOTAL_TOKENS, names.USAGE_SOURCE)
    prompt, completion, total, source = (metadata[key] for key in keys)
    return prompt, completion, total, source


def cuts(body: bytes) -> list[list[bytes]]:
    """The body in two pieces, at every byte, and in pieces of one and of three bytes."""
    pairs = [[body[:at], body[at:]] for at in range(1, len(body))]
    return [[body], *pairs, *([body[at : at + n] for at in range(0, len(body), n)] for n in (1, 3))]
