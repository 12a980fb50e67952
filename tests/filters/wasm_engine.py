"""The filter's wasm module as an engine of the tests: the same requests and answers as through the Lua."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any, Final

from llmroute.render.lua import JSON
from llmroute.render.wasm import filter_module
from tests.filters import wasm_host as host
from tests.filters.proxy import CONTEXT, WASM, Engine, Fail, Message, Sent, Service, Stream

_KINDS: Final = {"request": 0, "response": 2}


class WasmEngine(Engine):
    """One machine with the module loaded."""

    name = WASM

    def __init__(self, module: bytes | None = None) -> None:
        self.machine = host.Machine(module or filter_module())

    def stream(self, context: JSON = CONTEXT, fail: Fail | None = None) -> WasmStream:
        """A new request through this engine."""
        return WasmStream(self.machine, self.machine.plugin(host.configuration(context)), fail)


class WasmStream(Stream):
    """One request and its answer, in a stream context of the module."""

    def __init__(self, machine: host.Machine, plugin: int, fail: Fail | None) -> None:
        self._machine = machine
        self._id, self._exchange = machine.open(plugin)
        weakref.finalize(self, machine.finish, self._id)
        if fail:
            self._exchange.fail = lambda key, value: fail(key.encode(), _as_lua(host.typed(key, value)))

    @property
    def metadata(self) -> dict[str, Any]:
        """The properties that the filter has set."""
        return host.plain(self._exchange.properties)

    def tell(self, namespace: str, value: JSON) -> None:
        """Dynamic metadata of another filter."""
        self._exchange.told[namespace] = value

    @property
    def response(self) -> tuple[dict[str, str], bytes] | None:
        """The filter's own answer."""
        if self._exchange.response is None:
            return None
        status, headers, body = self._exchange.response
        return {":status": str(status), **dict(headers)}, body

    def serve(self, service: Service) -> None:
        """What answers calls."""
        self._exchange.service = service

    @property
    def logs(self) -> list[str]:
        """What was logged."""
        return self._exchange.logs

    @property
    def writes(self) -> int:
        """How many properties were set."""
        return self._exchange.writes

    def _run(self, entry: str, sent: Sent) -> Message:
        kind = _KINDS[entry]
        self._exchange.headers[kind] = list(sent.headers)
        said = self._machine.headers(self._id, kind, end=sent.chunks is None)
        if entry == "request":
            out = self._request(said, sent.chunks)
            seen: list[dict[str, Any]] = []
        else:
            out, seen = self._answer(said, sent)
        return Message(self._exchange.headers[kind], out, seen)

    def _request(self, said: int, chunks: Sequence[bytes] | None) -> list[bytes]:
        """The body comes in two pieces, of which the first is held while the filter waits for it."""
        if self._exchange.response:
            assert said == host.STOP
            return []
        if chunks is None:
            assert said == host.CONTINUE
            return []
        body = b"".join(chunks)
        first, piece = self._machine.body(self._id, 0, body[: len(body) // 2], end=False)
        held = b"" if first == host.CONTINUE else body[: len(body) // 2]
        assert first == said
        last, out = self._machine.body(self._id, 0, held + body[len(body) // 2 :], end=True)
        if self._exchange.response:
            assert last == host.STOP
            return []
        assert last == host.CONTINUE
        return [out if held else piece + out]

    def _answer(self, said: int, sent: Sent) -> tuple[list[bytes], list[dict[str, Any]]]:
        exchange, seen = self._exchange, []
        if exchange.response:
            status, headers, body = exchange.response
            exchange.response = None
            exchange.headers[2] = [(":status", str(status)), *headers, ("content-length", str(len(body)))]
            return [body], []
        if sent.chunks is None:
            assert said == host.CONTINUE
            return [], []
        if said == host.STOP:
            return [self._held(sent.chunks, trailers=sent.trailers)], []
        out: list[bytes] = []
        for number, chunk in enumerate(sent.chunks):
            end = number == len(sent.chunks) - 1 and not sent.trailers
            said, passed = self._machine.body(self._id, 2, chunk, end=end)
            assert said == host.CONTINUE
            out.append(passed)
            if sent.watch:
                seen.append(self.metadata)
        if sent.trailers:
            said, _ = self._machine.trailers(self._id, 2)
            assert said == host.CONTINUE
        return out, seen

    def _held(self, chunks: Sequence[bytes], *, trailers: bool) -> bytes:
        """An answer that the filter wants whole."""
        held = b""
        for number, chunk in enumerate(chunks):
            held += chunk
            end = number == len(chunks) - 1 and not trailers
            said, out = self._machine.body(self._id, 2, held, end=end)
            assert said == (host.CONTINUE if end else host.STOP)
        if trailers:
            said, changed = self._machine.trailers(self._id, 2, held)
            assert (said, changed is None) == (host.CONTINUE, False)
            out = changed or b""
        return out


def _as_lua(value: Any) -> object:
    return value.encode() if isinstance(value, str) else value
