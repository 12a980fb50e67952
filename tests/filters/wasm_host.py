"""A proxy-wasm host for the filter's module on wasmtime: one worker of Envoy, which a test drives byte by byte.

It is strict where Envoy is: a body cannot be had before it is there, headers that were held go on once, those of a
request that a filter has let go it can neither see nor change, and what is sent in the name of a plugin comes back to the
plugin. It takes calls of any context and keeps headers, bodies and properties
for each stream.
"""

from __future__ import annotations

import ctypes
import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import wasmtime
from envoy.config.core.v3 import base_pb2

from llmroute.render.lua import JSON

CONTINUE, STOP, WATERMARK, HOLD_ALL = 0, 1, 2, 3
GATE: Final = json.dumps({"gate": True})
"""The configuration of a plugin that holds headers for another."""
_OK, _NOT_FOUND, _BAD_ARGUMENT, _EMPTY, _CAS_MISMATCH, _INTERNAL = 0, 1, 2, 7, 8, 10
_REQUEST, _RESPONSE, _CALL = 0, 2, 6
_REQUEST_BODY, _RESPONSE_BODY, _CALL_BODY, _CONFIGURATION = 0, 1, 4, 7
_LOG_ERROR: Final = 4
_BETWEEN_FILTERS: Final = {"gated", "gate", "gate_edits"}
"""Properties that say nothing of the request."""
_CLOCK_NS: Final = 100_000_000
"""What every entry of a stream takes, and every call that it waits for, so that time is the same on every run."""
_PATIENCE_MS: Final = 1000
"""As long as the tests' routes have the filter wait; nobody waits for a call that may take longer."""

Headers = list[tuple[str, str]]
Service = Callable[[str, dict[str, str], bytes, int, bool], tuple[dict[str, str], bytes | None]]


@dataclass
class Call:
    """A call of the filter that is under way, and what has come of it. The answer goes to the plugin."""

    plugin: int
    token: int
    headers: Headers
    body: bytes
    awaited: bool


@dataclass
class Exchange:
    """What the host has of one stream."""

    headers: dict[int, Headers] = field(default_factory=dict)
    body: bytes | None = None
    """What a body callback may look at and change; None outside of one."""
    body_kind: int = _REQUEST_BODY
    properties: dict[str, bytes] = field(default_factory=dict)
    writes: int = 0
    logs: list[str] = field(default_factory=list)
    told: dict[str, JSON] = field(default_factory=dict)
    """Dynamic metadata of other filters, by namespace."""
    route: str | None = None
    fail: Callable[[str, bytes], bool] | None = None
    service: Service | None = None
    response: tuple[int, Headers, bytes] | None = None
    continued: set[int] = field(default_factory=set)
    let_go: set[int] = field(default_factory=set)
    """Streams of filters that have let the request's headers go."""
    went_on: list[int] = field(default_factory=list)
    """Streams of filters that have told a request to go on, each time."""
    calls: list[Call] = field(default_factory=list)
    unheard: bool = False
    """The machine that has called has stopped: nobody hears the answers."""


class Machine:
    """One instance of the module, with the plugins that it was configured for."""

    def __init__(self, module: bytes) -> None:
        self._store = wasmtime.Store()
        linker = wasmtime.Linker(self._store.engine)
        loaded = wasmtime.Module(self._store.engine, module)
        for entry in loaded.imports:
            assert isinstance(entry.type, wasmtime.FuncType)
            linker.define_func("env", entry.name or "", entry.type, getattr(self, f"_{entry.name}"))
        self._instance = linker.instantiate(self._store, loaded)
        self._exports = self._instance.exports(self._store)
        memory = self._exports["memory"]
        assert isinstance(memory, wasmtime.Memory)
        self._memory = memory
        exports = {name: self._exports[name] for name in self._exports}
        self._functions = {name: export for name, export in exports.items() if isinstance(export, wasmtime.Func)}
        self._plugins: dict[str, int] = {}
        self._configuration = b""
        self._exchanges: dict[int, Exchange] = {}
        self._roots: dict[int, int] = {}
        self._finished: list[int] = []
        self._effective = 0
        self._answer: Call | None = None
        self._next = 0
        self._turn = 0
        self.shared: dict[bytes, tuple[bytes, int]] = {}
        """Data that all machines share, with its version."""
        self.before_set: list[Callable[[], None]] = []
        """What another worker does just before this one sets some of it."""
        self._queues: dict[int, int] = {}
        self._messages: list[tuple[int, bytes]] = []
        self.ticks: dict[int, int] = {}
        """By plugin, how many milliseconds lie between its ticks; of those that have any."""

    @property
    def memory_bytes(self) -> int:
        """How large the memory is."""
        return self._memory.data_len(self._store)

    def plugin(self, configuration: str) -> int:
        """The root context of a plugin with this configuration; made once."""
        if configuration not in self._plugins:
            self._next += 1
            root = self._plugins[configuration] = self._next
            self._configuration = configuration.encode()
            self._enter(root, "proxy_on_context_create", root, 0)
            assert self._enter(root, "proxy_on_vm_start", root, 0) == 1
            assert self._enter(root, "proxy_on_configure", root, len(self._configuration)) == 1
        return self._plugins[configuration]

    def drop(self, configuration: str) -> None:
        """The plugin is no more."""
        root = self._plugins.pop(configuration)
        self._enter(root, "proxy_on_delete", root)

    def open(self, root: int) -> tuple[int, Exchange]:
        """A new stream of a plugin."""
        while self._finished:
            self.close(self._finished.pop())
        self._next += 1
        exchange = self._exchanges[self._next] = Exchange()
        self._roots[self._next] = root
        self._enter(self._next, "proxy_on_context_create", self._next, root)
        return self._next, exchange

    def join(self, root: int, exchange: Exchange) -> int:
        """A stream of a plugin that is another filter of the same request."""
        self._next += 1
        self._exchanges[self._next] = exchange
        self._roots[self._next] = root
        self._enter(self._next, "proxy_on_context_create", self._next, root)
        return self._next

    @property
    def queues(self) -> set[int]:
        """Those of this machine's gates."""
        return set(self._queues)

    def finish(self, stream: int) -> None:
        """The stream is done, as soon as the module is not at work: Python says so at any moment."""
        self._finished.append(stream)

    def close(self, stream: int) -> None:
        """The stream is done."""
        for name in ("proxy_on_done", "proxy_on_log", "proxy_on_delete"):
            self._enter(stream, name, stream)
        del self._exchanges[stream], self._roots[stream]

    def headers(self, stream: int, kind: int, *, end: bool) -> int:
        """Headers have come; returns what the filter says."""
        name = "proxy_on_request_headers" if kind == _REQUEST else "proxy_on_response_headers"
        exchange = self._exchanges[stream]
        said = self._settled(stream, kind, self._enter(stream, name, stream, len(exchange.headers[kind]), int(end)))
        if kind == _REQUEST and said == CONTINUE:
            exchange.let_go.add(stream)
        return said

    def deliver(self) -> None:
        """What is in queues comes to whom they belong."""
        for queue in [queue for queue, _ in self._messages]:
            root = self._queues[queue]
            self._enter(root, "proxy_on_queue_ready", root, queue)
        assert not self._messages

    def lose(self) -> list[tuple[int, bytes]]:
        """What is in queues comes to nobody; returns it."""
        lost, self._messages = self._messages, []
        return lost

    def find(self, lost: list[tuple[int, bytes]]) -> None:
        """What was lost comes after all."""
        self._messages += lost
        self.deliver()

    def tick(self, configuration: str) -> None:
        """The time between two ticks of a plugin has passed."""
        root = self._plugins[configuration]
        assert root in self.ticks, "the plugin wants ticks"
        self._enter(root, "proxy_on_tick", root)

    def body(self, stream: int, kind: int, body: bytes, *, end: bool) -> tuple[int, bytes]:
        """A piece of a body has come, or all that is held of it; returns what the filter says, and the bytes."""
        name = "proxy_on_request_body" if kind == _REQUEST else "proxy_on_response_body"
        exchange = self._exchanges[stream]
        exchange.body, exchange.body_kind = body, _REQUEST_BODY if kind == _REQUEST else _RESPONSE_BODY
        said = self._settled(stream, kind, self._enter(stream, name, stream, len(body), int(end)))
        out, exchange.body = exchange.body, None
        return said, out

    def trailers(self, stream: int, kind: int, held: bytes | None = None) -> tuple[int, bytes | None]:
        """Trailers have come, after a body of which some may be held."""
        name = "proxy_on_request_trailers" if kind == _REQUEST else "proxy_on_response_trailers"
        exchange = self._exchanges[stream]
        exchange.body, exchange.body_kind = held, _REQUEST_BODY if kind == _REQUEST else _RESPONSE_BODY
        said = self._settled(stream, kind, self._enter(stream, name, stream, 0))
        out, exchange.body = exchange.body, None
        return said, out

    def _settled(self, stream: int, kind: int, said: int) -> int:
        """Answers the filter's calls until it has none; what it holds goes on when it says so."""
        exchange = self._exchanges[stream]
        exchange.body, body = None, exchange.body
        while exchange.calls and not exchange.unheard:
            call = exchange.calls.pop(0)
            self._answer = call
            self._turn += call.awaited
            sizes = (len(call.headers), len(call.body), 0)
            self._enter(call.plugin, "proxy_on_http_call_response", call.plugin, call.token, *sizes)
            self._answer = None
        exchange.body = body
        which = 0 if kind == _REQUEST else 1
        if which in exchange.continued:
            assert said != CONTINUE, "only what is held is continued"
            exchange.continued.discard(which)
            return CONTINUE
        return said

    def _enter(self, context: int, name: str, *arguments: int) -> int:
        self._effective, self._turn = context, self._turn + (context in self._exchanges)
        return int(self._functions[name](self._store, *arguments) or 0)

    # -- memory

    def _read(self, at: int, size: int) -> bytes:
        assert (at & 0xFFFFFFFF) + size <= self.memory_bytes
        base = ctypes.addressof(self._memory.data_ptr(self._store).contents)
        return ctypes.string_at(base + (at & 0xFFFFFFFF), size)

    def _write(self, at: int, content: bytes) -> None:
        assert (at & 0xFFFFFFFF) + len(content) <= self.memory_bytes
        base = ctypes.addressof(self._memory.data_ptr(self._store).contents)
        ctypes.memmove(base + (at & 0xFFFFFFFF), content, len(content))

    def _give(self, content: bytes, at: int, size: int) -> int:
        """Puts bytes into memory that the module gives, and where they are into its two variables."""
        place = int(self._functions["proxy_on_memory_allocate"](self._store, len(content)))
        self._write(place, content)
        self._write(at, struct.pack("<I", place & 0xFFFFFFFF))
        self._write(size, struct.pack("<I", len(content)))
        return _OK

    @property
    def _exchange(self) -> Exchange:
        return self._exchanges[self._effective]

    # -- what the module imports

    def _proxy_log(self, level: int, at: int, size: int) -> int:
        assert level == _LOG_ERROR
        self._exchange.logs.append(self._read(at, size).decode())
        return _OK

    def _proxy_get_current_time_nanoseconds(self, at: int) -> int:
        self._write(at, struct.pack("<Q", self._turn * _CLOCK_NS))
        return _OK

    def _proxy_get_property(self, path: int, path_size: int, at: int, size: int) -> int:
        name = self._read(path, path_size)
        exchange = self._exchange
        if name == b"metadata":
            metadata = base_pb2.Metadata()
            for space, value in exchange.told.items():
                metadata.filter_metadata[space].update(value if isinstance(value, dict) else {})
            return self._give(metadata.SerializeToString(), at, size)
        if name == b"xds\0route_name" and exchange.route is not None:
            return self._give(exchange.route.encode(), at, size)
        if name.decode() in exchange.properties:
            return self._give(exchange.properties[name.decode()], at, size)
        return _NOT_FOUND

    def _proxy_set_property(self, path: int, path_size: int, at: int, size: int) -> int:
        name, value = self._read(path, path_size).decode(), self._read(at, size)
        exchange = self._exchange
        if exchange.fail and name not in _BETWEEN_FILTERS and exchange.fail(name, value):
            return _INTERNAL
        exchange.properties[name] = value
        exchange.writes += 1
        return _OK

    def _proxy_get_buffer_bytes(self, kind: int, start: int, length: int, at: int, size: int) -> int:
        if kind == _CONFIGURATION:
            content: bytes | None = self._configuration
        elif kind == _CALL_BODY:
            content = self._answer.body if self._answer else None
        else:
            content = self._exchange.body if kind == self._exchange.body_kind else None
        if content is None:
            return _NOT_FOUND
        return self._give(content[start : start + length], at, size)

    def _proxy_set_buffer_bytes(self, kind: int, start: int, length: int, at: int, size: int) -> int:
        exchange = self._exchange
        if (
            exchange.body is None
            or kind != exchange.body_kind
            or start != 0
            or (length and length < len(exchange.body))
        ):
            return _BAD_ARGUMENT
        exchange.body = self._read(at, size) + (exchange.body if length == 0 else b"")
        return _OK

    def _gone(self, kind: int) -> bool:
        return kind == _REQUEST and self._effective in self._exchange.let_go

    def _proxy_get_header_map_pairs(self, kind: int, at: int, size: int) -> int:
        if kind != _CALL and self._gone(kind):
            return self._give(packed([]), at, size)
        listed = (self._answer.headers if self._answer else []) if kind == _CALL else self._exchange.headers[kind]
        return self._give(packed(listed), at, size)

    def _proxy_add_header_map_value(self, kind: int, name: int, name_size: int, at: int, size: int) -> int:
        value = self._read(at, size)
        if any(c < 32 or c == 127 for c in value) or self._gone(kind):
            return _BAD_ARGUMENT
        listed = self._exchange.headers[kind]
        listed.append((self._read(name, name_size).decode(), value.decode("utf-8", "surrogateescape")))
        return _OK

    def _proxy_remove_header_map_value(self, kind: int, name: int, name_size: int) -> int:
        if self._gone(kind):
            return _BAD_ARGUMENT
        gone = self._read(name, name_size).decode()
        listed = self._exchange.headers[kind]
        listed[:] = [pair for pair in listed if pair[0] != gone]
        return _OK

    def _proxy_send_local_response(
        self, status: int, _: int, __: int, body: int, body_size: int, headers: int, headers_size: int, grpc: int
    ) -> int:
        assert grpc == -1
        assert self._exchange.response is None
        self._exchange.response = (status, unpacked(self._read(headers, headers_size)), self._read(body, body_size))
        return _OK

    def _proxy_http_call(
        self, cluster: int, cluster_size: int, headers: int, headers_size: int, body: int, body_size: int,
        _: int, __: int, timeout: int, token: int,
    ) -> int:  # fmt: skip
        exchange = self._exchange
        if exchange.service is None:
            return _BAD_ARGUMENT
        self._next += 1
        self._write(token, struct.pack("<I", self._next))
        asked = dict(unpacked(self._read(headers, headers_size)))
        frame = self._read(body, body_size)
        name = self._read(cluster, cluster_size).decode()
        awaited = timeout <= _PATIENCE_MS
        said, content = exchange.service(name, asked, frame, timeout, not awaited)
        plugin = self._roots[self._effective]
        exchange.calls.append(Call(plugin, self._next, list(said.items()), content or b"", awaited))
        return _OK

    def _proxy_continue_stream(self, kind: int) -> int:
        self._exchange.continued.add(kind)
        if kind == 0:
            self._exchange.let_go.add(self._effective)
            self._exchange.went_on.append(self._effective)
        return _OK

    def _proxy_set_effective_context(self, context: int) -> int:
        self._effective = context
        return _OK

    def _proxy_set_tick_period_milliseconds(self, period: int) -> int:
        root = self._roots.get(self._effective, self._effective)
        assert (root in self.ticks) != bool(period), "a period that is set again makes another clock"
        if period:
            self.ticks[root] = period
        else:
            del self.ticks[root]
        return _OK

    def _proxy_get_shared_data(self, key: int, key_size: int, at: int, size: int, cas: int) -> int:
        if (name := self._read(key, key_size)) not in self.shared:
            return _NOT_FOUND
        value, version = self.shared[name]
        self._write(cas, struct.pack("<I", version))
        return self._give(value, at, size)

    def _proxy_set_shared_data(self, key: int, key_size: int, at: int, size: int, cas: int) -> int:
        """With no version, 0, whatever is there is overwritten; what is not there yet has any version."""
        while self.before_set:
            self.before_set.pop()()
        name = self._read(key, key_size)
        version = self.shared[name][1] if name in self.shared else 0
        if version and cas & 0xFFFFFFFF not in {0, version}:
            return _CAS_MISMATCH
        self.shared[name] = (self._read(at, size), version + 1)
        return _OK

    def _proxy_register_shared_queue(self, name: int, name_size: int, queue: int) -> int:
        number = 100 + int(self._read(name, name_size))
        assert number not in self._queues, "each worker has a queue of its own"
        self._queues[number] = self._effective
        self._write(queue, struct.pack("<I", number))
        return _OK

    def _proxy_enqueue_shared_queue(self, queue: int, at: int, size: int) -> int:
        if queue not in self._queues:
            return _NOT_FOUND
        self._messages.append((queue, self._read(at, size)))
        return _OK

    def _proxy_dequeue_shared_queue(self, queue: int, at: int, size: int) -> int:
        for number, (of, message) in enumerate(self._messages):
            if of == queue:
                del self._messages[number]
                return self._give(message, at, size)
        return _EMPTY


def packed(headers: Sequence[tuple[str, str]]) -> bytes:
    """A list of headers as the module takes and gives it."""
    coded = [(k.encode(), v.encode("utf-8", "surrogateescape")) for k, v in headers]
    sizes = b"".join(struct.pack("<II", len(k), len(v)) for k, v in coded)
    return struct.pack("<I", len(coded)) + sizes + b"".join(k + b"\0" + v + b"\0" for k, v in coded)


def unpacked(content: bytes) -> Headers:
    """The other way."""
    (count,) = struct.unpack_from("<I", content)
    at, out = 4 + 8 * count, []
    for number in range(count):
        name, value = struct.unpack_from("<II", content, 4 + 8 * number)
        pair = content[at : at + name], content[at + name + 1 : at + name + 1 + value]
        out.append((pair[0].decode(), pair[1].decode("utf-8", "surrogateescape")))
        at += name + value + 2
    return out


def configuration(context: JSON) -> str:
    """That of a plugin for one route."""
    return json.dumps({"contexts": [{"context": context}]})


def plain(properties: dict[str, bytes]) -> dict[str, Any]:
    """Properties as the metadata that they stand for: all but what the filter and its gate tell each other."""
    return {name: typed(name, value) for name, value in properties.items() if name not in _BETWEEN_FILTERS}


def typed(name: str, value: bytes) -> Any:
    """A property as metadata has it: a text, a truth or a number."""
    if name in {"model", "usage_source", "api"}:
        return value.decode()
    if name in {"forced_usage", "unmetered", "unestimated"}:
        return value == b"true"
    return int(value)
