"""What a stream keeps while it goes by, measured after a full collection: little, however long it is."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.filters.lua_engine import LuaEngine
from tests.filters.proxy import JSON_ANSWER, SSE_ANSWER, Headers
from tests.filters.test_streams import ASKED, UNASKED, delta, event

LENGTH: Final = 50_000_000
PIECE: Final = 16_384
KEPT: Final = {"luajit21": 4096, "lua51": 8192}
"""Envoy runs LuaJIT; the tables and coroutines of Lua 5.1 are larger."""
CAP: Final = 65_536
LINES: Final[Headers] = [(":status", "200"), ("content-type", "application/x-ndjson")]
FRAMES: Final[Headers] = [(":status", "200"), ("content-type", "application/vnd.amazon.eventstream")]

MEASURE: Final = b"""
-- Runs an answer of `times` pieces; gives what was alive at its end, and at most at its first pieces, beyond
-- what is alive after it.
return function(fake, stream, run, headers, first, piece, times)
  local list = { first }
  for i = 2, times do
    list[i] = piece
  end
  local at, most, last = 0, 0, 0
  local function seen()
    at = at + 1
    if at <= 12 or at == times then
      collectgarbage()
      collectgarbage()
      last = collectgarbage("count") * 1024
      most = at <= 12 and last > most and last or most
    end
  end
  local out = fake.run(stream, run, headers, list, true, seen)
  collectgarbage()
  collectgarbage()
  local after = collectgarbage("count") * 1024
  return last - after, most - after, #out
end
"""

PASSES: Final = b"""
return function(handle)
  local next_chunk = handle:bodyChunks()
  local chunk, last = next_chunk(), nil
  while chunk do
    last, chunk = chunk, next_chunk()
  end
end
"""
"""A filter that does nothing: what the fake keeps for it is not ours."""

ANTHROPIC = event({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "lorem ipsum"}})
SHAPES: Final[dict[str, tuple[bytes, Headers, bytes, bytes]]] = {
    "read events": (ASKED, SSE_ANSWER, b"", delta("lorem ipsum").encode()),
    "rewritten events": (UNASKED, SSE_ANSWER, b"", delta("lorem ipsum", usage=None).encode()),
    "events of another API": (ASKED, SSE_ANSWER, b"", ANTHROPIC.encode()),
    "comments": (UNASKED, SSE_ANSWER, b"", b": ping\n"),
    "one object": (ASKED, JSON_ANSWER, b'{"choices":[', b'{"text":"lorem \\"ipsum\\""},[1.5,true],'),
    "keys": (ASKED, JSON_ANSWER, b"{", b'"usage":{"a":1},"b":"c",'),
    "array of objects": (ASKED, JSON_ANSWER, b"[", b'{"candidates":[{"text":"a"}]},\r\n'),
    "lines": (ASKED, LINES, b"", b'{"response":"lorem","done":false}\n'),
    "messages": (ASKED, FRAMES, b"", b"\0\0\0\x26\0\0\0\0\0\0\0\0" + b'{"delta":{"text":"ab"}}'[:22] + b"\0\0\0\0"),
}
COMMON: Final = ("read events", "rewritten events", "one object", "messages")
ENDLESS: Final[dict[str, tuple[bytes, Headers, bytes, bytes]]] = {
    "line, read": (ASKED, SSE_ANSWER, b'data: {"choices":[{"a":"', b"x"),
    "line, rewritten": (UNASKED, SSE_ANSWER, b'data: {"choices":[{"a":"', b"x"),
    "lines of one event, read": (ASKED, SSE_ANSWER, b"", b"data:1\n"),
    "lines of one event, rewritten": (UNASKED, SSE_ANSWER, b"", b"data:1\n"),
    "empty lines of data, rewritten": (UNASKED, SSE_ANSWER, b"", b"data\n"),
    "other fields, rewritten": (UNASKED, SSE_ANSWER, b"id: 1\n", b"id: 1\n"),
    "usage": (ASKED, JSON_ANSWER, b'{"usage":{"a":"', b"x"),
    "key": (ASKED, JSON_ANSWER, b'{"', b"x"),
    "message": (ASKED, FRAMES, b"\0\xff\xff\xff\0\0\0\0\0\0\0\0", b"x"),
}


@pytest.fixture(scope="module", autouse=True)
def quiet() -> Iterator[None]:
    """What other tests left behind in Lua, Python lets go of when it likes: before these tests, and not within."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def retained(engine: LuaEngine, shape: tuple[bytes, Headers, bytes, bytes], length: int) -> tuple[int, int]:
    """Bytes that the filter keeps at a stream's end, and at most at its beginning."""
    last, most = measured(engine, shape, length, engine.lua.globals()[b"envoy_on_response"])
    fake, _ = measured(engine, shape, length, engine.lua.execute(PASSES))
    return last - fake, most - fake


def measured(engine: LuaEngine, shape: tuple[bytes, Headers, bytes, bytes], length: int, run: Any) -> tuple[int, int]:
    """The same, for any filter, with what is around it. Pieces are cut inside of a unit."""
    request, headers, before, unit = shape
    stream = engine.stream()
    stream.request(request)
    units = unit * (PIECE // len(unit) + 1)
    cut = len(unit) // 2
    measure = engine.lua.execute(MEASURE)
    table = engine.lua.table_from
    listed = table([table([k.encode(), v.encode()]) for k, v in headers])
    first, piece = before + units[:cut], units[cut:] + units[:cut]
    last, most, count = measure(engine.fake, stream.raw, run, listed, first, piece, length // len(piece) + 2)
    assert count == length // len(piece) + 2
    assert stream.logs == []
    return int(last), int(most)


@pytest.mark.parametrize("name", SHAPES)
def test_long_streams(lua_engine: LuaEngine, name: str) -> None:
    """After 50 MB (on LuaJIT, which Envoy runs, and of the commonest shapes) a stream keeps less than 4 KiB."""
    retained(lua_engine, SHAPES[name], PIECE * 20)  # what is made once for all streams is made here
    whole = lua_engine.name == "luajit21" and name in COMMON
    last, _ = retained(lua_engine, SHAPES[name], LENGTH if whole else LENGTH // 25)
    assert last < KEPT[lua_engine.name]


@pytest.mark.parametrize("name", ENDLESS)
def test_what_never_ends(lua_engine: LuaEngine, name: str) -> None:
    """What has no end is kept up to its cap, at most 64 KiB and a piece, and no longer."""
    retained(lua_engine, ENDLESS[name], PIECE * 20)
    last, most = retained(lua_engine, ENDLESS[name], PIECE * 200)
    assert most < CAP + PIECE
    assert last < CAP
