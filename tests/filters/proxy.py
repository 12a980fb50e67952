"""The filter on a Lua engine, in a fake Envoy (``fake.lua``) that a test can drive byte by byte."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from llmroute import names
from llmroute.render.lua import JSON, filter_source, lua_literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

HERE: Final = Path(__file__).parent
ENGINES: Final = ("luajit21", "lua51")
"""LuaJIT is what Envoy runs; Lua 5.1 is nearest to what EG's validator runs."""

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
JSON_ANSWER: Final[Headers] = [(":status", "200"), ("content-type", "application/json")]
SSE_ANSWER: Final[Headers] = [(":status", "200"), ("content-type", "text/event-stream")]


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


class Engine:
    """One Lua engine with the filter loaded, as one worker of Envoy has it."""

    def __init__(self, name: str, source: str | None = None, prelude: bytes = b"") -> None:
        """``prelude`` is Lua that runs before all else: it may watch what the filter calls."""
        self.name = name
        self.lua = importlib.import_module(f"lupa.{name}").LuaRuntime(encoding=None)
        self.lua.execute(prelude)
        self.fake = self.lua.execute((HERE / "fake.lua").read_bytes())
        self.lua.execute((source or filter_source()).encode())

    def stream(self, context: JSON = CONTEXT, fail: Callable[[bytes, object], bool] | None = None) -> Stream:
        """A new request through this engine."""
        return Stream(self, context, fail)


class Stream:
    """One request and its answer."""

    def __init__(self, engine: Engine, context: JSON, fail: Callable[[bytes, object], bool] | None) -> None:
        self._engine = engine
        self._lua = engine.lua
        self._stream = engine.fake[b"stream"](self._lua.eval(lua_literal(context).encode()), fail)

    @property
    def raw(self) -> Any:
        """The stream as ``fake.lua`` knows it."""
        return self._stream

    @property
    def metadata(self) -> dict[str, Any]:
        """What the filter has written so far."""
        return _plain(self._stream[b"metadata"][names.METADATA_NAMESPACE.encode()])

    def tell(self, namespace: str, value: JSON) -> None:
        """Dynamic metadata that another filter has written before."""
        self._stream[b"metadata"][namespace.encode()] = self._lua.eval(lua_literal(value).encode())

    @property
    def response(self) -> tuple[dict[str, str], bytes] | None:
        """Headers and body of the filter's own answer to the request, which then goes nowhere."""
        said = self._stream[b"response"]
        return (_plain(said[b"headers"]), said[b"body"]) if said else None

    def serve(
        self, service: Callable[[str, dict[str, str], bytes, int, bool], tuple[dict[str, str], bytes | None]]
    ) -> None:
        """What answers ``httpCall``, by cluster, headers, body, timeout and whether nobody waits: headers and body."""

        def call(cluster: bytes, headers: Any, body: bytes, timeout: float, asynchronous: bool | None = None) -> Any:
            said, content = service(cluster.decode(), _plain(headers), body, int(timeout), bool(asynchronous))
            coded = {key.encode(): value.encode() for key, value in said.items()}
            return self._lua.table_from({b"headers": self._lua.table_from(coded), b"body": content})

        self._stream[b"service"] = call

    @property
    def logs(self) -> list[str]:
        """What the filter has logged as errors."""
        return [line.decode() for line in self._stream[b"logs"].values()]

    @property
    def writes(self) -> int:
        """How often the filter has written metadata."""
        return int(self._stream[b"writes"])

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
        return self._run(b"envoy_on_request", sent, None if body is None else [body])

    def answer(
        self,
        chunks: Sequence[bytes] | None,
        headers: Iterable[tuple[str, str]] = JSON_ANSWER,
        *,
        trailers: bool = False,
        watch: bool = False,
    ) -> Message:
        """Send an answer back; returns what the client gets, and the metadata on the way when asked to watch."""
        return self._run(b"envoy_on_response", list(headers), chunks, trailers=trailers, watch=watch)

    def _run(
        self,
        entry: bytes,
        headers: Headers,
        chunks: Sequence[bytes] | None,
        *,
        trailers: bool = False,
        watch: bool = False,
    ) -> Message:
        table = self._lua.table_from
        pairs = [table([k.encode(), v.encode("utf-8", "surrogateescape")]) for k, v in headers]
        listed = table(pairs)
        seen: list[dict[str, Any]] = []
        out = self._engine.fake[b"run"](
            self._stream,
            self._lua.globals()[entry],
            listed,
            None if chunks is None else table(list(chunks)),
            trailers,
            (lambda data: seen.append(_plain(data))) if watch else None,
        )
        after = [(h[1].decode(), h[2].decode("utf-8", "surrogateescape")) for h in listed.values()]
        return Message(after, list(out.values()), seen)


def _plain(data: Any) -> dict[str, Any]:
    if data is None:
        return {}
    return {k.decode(): v.decode("utf-8") if isinstance(v, bytes) else v for k, v in data.items()}


def tokens(metadata: dict[str, Any]) -> tuple[int, int, int, str]:
    """Prompt, completion, total and where they come from."""
    keys = (names.PROMPT_TOKENS, names.COMPLETION_TOKENS, names.TOTAL_TOKENS, names.USAGE_SOURCE)
    prompt, completion, total, source = (metadata[key] for key in keys)
    return prompt, completion, total, source


def cuts(body: bytes) -> list[list[bytes]]:
    """The body in two pieces, at every byte, and in pieces of one and of three bytes."""
    pairs = [[body[:at], body[at:]] for at in range(1, len(body))]
    return [[body], *pairs, *([body[at : at + n] for at in range(0, len(body), n)] for n in (1, 3))]
