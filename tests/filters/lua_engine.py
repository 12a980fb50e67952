"""The filter on a Lua engine, in a fake Envoy (``fake.lua``) that a test can drive byte by byte."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any, Final

from llmroute import names
from llmroute.render.lua import JSON, filter_source, lua_literal
from tests.filters.proxy import CONTEXT, Engine, Fail, Message, Sent, Service, Stream

HERE: Final = Path(__file__).parent


def handed(context: JSON) -> bytes:
    """The filter context that a route has for the Lua, as Lua: what is no object is handed over as it is."""
    return lua_literal({"route": json.dumps(context)} if isinstance(context, dict) else context).encode()


class LuaEngine(Engine):
    """One Lua engine with the filter loaded, as one worker of Envoy has it."""

    def __init__(self, name: str, source: str | None = None, prelude: bytes = b"") -> None:
        """``prelude`` is Lua that runs before all else: it may watch what the filter calls."""
        self.name = name
        self.lua = importlib.import_module(f"lupa.{name}").LuaRuntime(encoding=None)
        self.lua.execute(prelude)
        self.fake = self.lua.execute((HERE / "fake.lua").read_bytes())
        self.lua.execute((source or filter_source()).encode())

    def stream(self, context: JSON = CONTEXT, fail: Fail | None = None) -> LuaStream:
        """A new request through this engine."""
        return LuaStream(self, context, fail)


class LuaStream(Stream):
    """One request and its answer."""

    def __init__(self, engine: LuaEngine, context: JSON, fail: Fail | None) -> None:
        self._engine = engine
        self._lua = engine.lua
        self._stream = engine.fake[b"stream"](self._lua.eval(handed(context)), fail)

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

    def serve(self, service: Service) -> None:
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

    def _run(self, entry: str, sent: Sent) -> Message:
        table = self._lua.table_from
        pairs = [table([k.encode(), v.encode("utf-8", "surrogateescape")]) for k, v in sent.headers]
        listed = table(pairs)
        seen: list[dict[str, Any]] = []
        out = self._engine.fake[b"run"](
            self._stream,
            self._lua.globals()[f"envoy_on_{entry}".encode()],
            listed,
            None if sent.chunks is None else table(list(sent.chunks)),
            sent.trailers,
            (lambda data: seen.append(_plain(data))) if sent.watch else None,
        )
        after = [(h[1].decode(), h[2].decode("utf-8", "surrogateescape")) for h in listed.values()]
        return Message(after, list(out.values()), seen)


def _plain(data: Any) -> dict[str, Any]:
    if data is None:
        return {}
    return {k.decode(): v.decode("utf-8") if isinstance(v, bytes) else v for k, v in data.items()}
