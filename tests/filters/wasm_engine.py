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

    def __init__(self, module: bytes | None = None, *, gated: bool = False) -> None:
        self.machine = host.Machine(module or filter_module())
        self.gated = gated

    def stream(self, context: JSON = CONTEXT, fail: Fail | None = None) -> WasmStream:
        """A new request through this engine."""
        if not self.gated:
            return WasmStream(self.machine, self.machine.plugin(host.configuration(context)), fail)
        told = {**context, "gated": True} if isinstance(context, dict) else context
        plugin, gate = self.machine.plugin(host.configuration(told)), self.machine.plugin(host.GATE)
        return WasmStream(self.machine, plugin, fail, gate)


class WasmStream(Stream):
    """One request and its answer, in a stream context of the module."""

    def __init__(self, machine: host.Machine, plugin: int, fail: Fail | None, gate: int | None = None) -> None:
        self._machine = machine
        self._id, self._exchange = machine.open(plugin)
        self._gate = machine.join(gate, self._exchange) if gate else None
        self._open = [self._id, *([self._gate] if self._gate else [])]
        self._closes = [weakref.finalize(self, machine.finish, each) for each in self._open]
        if fail:
            self._exchange.fail = lambda key, value: fail(key.encode(), _as_lua(host.typed(key, value)))

    def begin_answer(self, chunks: Sequence[bytes], headers: host.Headers) -> None:
        """An answer of which no end comes."""
        self._exchange.headers[2] = list(headers)
        assert self._machine.headers(self._id, 2, end=False) == host.CONTINUE
        for chunk in chunks:
            assert self._machine.body(self._id, 2, chunk, end=False)[0] == host.CONTINUE

    def done(self) -> None:
        """The stream is over, however it ended."""
        for close, each in zip(self._closes, self._open, strict=True):
            close.detach()
            self._machine.close(each)

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
        gate = self._machine.headers(self._gate, 0, end=False) if self._gate else host.CONTINUE
        if gate == host.HOLD_ALL:
            return self._held_by_gate(body)
        first, piece = self._machine.body(self._id, 0, body[: len(body) // 2], end=False)
        held = b"" if first == host.CONTINUE else body[: len(body) // 2]
        assert first == said
        last, out = self._machine.body(self._id, 0, held + body[len(body) // 2 :], end=True)
        if self._exchange.response:
            assert last == host.STOP
            return []
        assert last == host.CONTINUE
        return [out if held else piece + out]

    def _held_by_gate(self, body: bytes) -> list[bytes]:
        """The body comes to the filter, whose headers have gone on as far as to the gate."""
        assert self._gate
        first, _ = self._machine.body(self._id, 0, body[: len(body) // 2], end=False)
        assert first == host.STOP
        last, out = self._machine.body(self._id, 0, body, end=True)
        if self._exchange.response:
            assert last == host.STOP
            self._machine.deliver()
            return []
        assert last == host.CONTINUE
        assert self._gate not in self._exchange.let_go
        self._machine.deliver()
        assert self._gate in self._exchange.let_go
        assert self._exchange.continued == {0}
        self._exchange.continued.clear()
        return [out]

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
