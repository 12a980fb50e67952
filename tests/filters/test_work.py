"""Four times the bytes are four times the work: nothing in the filter is quadratic.

Work is counted, not timed (``counting.lua``): instructions of Lua 5.1, bytes that string functions look at, and bytes that
are newly made. The numbers are the same on every run, so the bound can be near 4.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.filters.lua_engine import LuaEngine
from tests.filters.proxy import JSON_ANSWER, SSE_ANSWER, Headers, tokens
from tests.filters.test_streams import ASKED, UNASKED

SIZE: Final = 40_000
"""Past every cap of the filter, so that both sizes are treated alike."""
MOST: Final = 5.0
"""A quadratic part of a tenth would show as 5.2."""
PATIENCE: Final = 3.0
"""Seconds of CPU; they take tenths."""
EVENT_STREAM: Final[Headers] = [(":status", "200"), ("content-type", "application/vnd.amazon.eventstream")]
LINES: Final[Headers] = [(":status", "200"), ("content-type", "application/x-ndjson")]
FORM: Final[Headers] = [("content-type", "multipart/form-data; boundary=xyz")]
JSON: Final[Headers] = [("content-type", "application/json")]
PART = b'--xyz\r\ncontent-disposition: form-data; name="file"\r\n\r\n'
MODEL = b'\r\n--xyz\r\ncontent-disposition: form-data; name="model"\r\n\r\nm\r\n--xyz--\r\n'
MESSAGE = b"\0\0\0\x24\0\0\0\0\0\0\0\0" + b'{"delta":{"text":"a"}}'[:20] + b"\0\0\0\0"

Body = Callable[[int], bytes]


def fill(before: bytes, unit: bytes, after: bytes = b"") -> Body:
    """Bodies of about ``n`` bytes that are ``unit`` again and again."""
    return lambda n: before + unit * (n // len(unit)) + after


@pytest.fixture(scope="module")
def counted() -> LuaEngine:
    """The filter on Lua 5.1, its work counted."""
    return LuaEngine("lua51", prelude=(Path(__file__).parent / "counting.lua").read_bytes())


def work(engine: LuaEngine, run: Callable[[int], None], size: int) -> tuple[float, ...]:
    """Instructions, bytes looked at and bytes made while ``run`` runs."""
    engine.lua.globals()[b"work_begin"]()
    run(size)
    return tuple(engine.lua.globals()[b"work_end"]())


def assert_linear(engine: LuaEngine, run: Callable[[int], None]) -> None:
    """Each kind of work grows with the length; what is under a byte of work per byte is noise."""
    run(SIZE // 10)  # what is made once, such as the room of tables, is made here
    once, four = (work(engine, run, size) for size in (SIZE, 4 * SIZE))
    for kind, one, more in zip(("instructions", "bytes looked at", "bytes made"), once, four, strict=True):
        assert more < MOST * max(one, SIZE), (kind, one, more)


REQUESTS: Final[dict[str, tuple[Headers, Body]]] = {
    "deep arrays": (JSON, fill(b'{"model":"m","a":', b"[")),
    "deep objects": (JSON, fill(b'{"model":"m","a":', b'{"a":')),
    "endless string": (JSON, fill(b'{"model":"m","a":"', b"x")),
    "backslashes": (JSON, fill(b'{"model":"m","a":"', b"\\")),
    "escaped quotes": (JSON, fill(b'{"model":"m","a":"', b'\\"', b'"}')),
    "unicode escapes": (JSON, fill(b'{"model":"m","a":"', b"\\u00e9", b'"}')),
    "short keys": (JSON, fill(b"{", b'"k":1,', b'"model":"m"}')),
    "models": (JSON, fill(b"{", b'"model":"m",', b'"model":"m"}')),
    "options": (JSON, fill(b'{"stream":true,"messages":[],', b'"stream_options":{"include_usage":false},', b'"a":1}')),
    "numbers": (JSON, fill(b'{"a":[', b"1.5e3,", b'1],"model":"m"}')),
    "blanks": (JSON, fill(b"{", b" \t\r\n", b'"model":"m"}')),
    "escaped keys": (JSON, fill(b"{", b'"mod\\u0065l":"m",', b'"model":"m"}')),
    "dashes": (FORM, fill(PART, b"-", MODEL)),
    "near boundaries": (FORM, fill(PART, b"\r\n--xy", MODEL)),
    "boundaries with text": (FORM, fill(PART, b"\r\n--xyz x", MODEL)),
    "parts": (FORM, fill(b"", PART + b"\r\n", MODEL)),
    "model fields": (FORM, fill(b"", MODEL[2:-9], b"--xyz--\r\n")),
    "endless part header": (FORM, fill(b"--xyz\r\n", b"x-h: 1\r\n", MODEL)),
    "blanks after a boundary": (FORM, fill(b"--xyz", b" ", MODEL)),
}


@pytest.mark.parametrize("limits", [{}, {"maxTokens": 10}], ids=["as it is", "clamped"])
@pytest.mark.parametrize("name", REQUESTS)
def test_requests(counted: LuaEngine, name: str, limits: dict[str, int]) -> None:
    """The worst bodies of requests, clamped or not."""
    headers, body = REQUESTS[name]

    def run(n: int) -> None:
        stream = counted.stream({"version": 1, **limits})
        stream.request(body(n), headers)
        assert stream.logs == []

    assert_linear(counted, run)


ANSWERS: Final[dict[str, tuple[Headers, Body]]] = {
    "empty events": (SSE_ANSWER, fill(b"", b"\n")),
    "CR": (SSE_ANSWER, fill(b"data: {}", b"\r")),
    "comments": (SSE_ANSWER, fill(b"", b":\n")),
    "fields without end": (SSE_ANSWER, fill(b"", b"id: 1\n")),
    "data lines without end": (SSE_ANSWER, fill(b"", b"data:x\n")),
    "empty data lines": (SSE_ANSWER, fill(b"", b"data\n")),
    "a line without end": (SSE_ANSWER, fill(b"data: {", b"x")),
    "a long line of usage": (SSE_ANSWER, fill(b"data: {", b'"usage":{},', b"\n\n")),
    "deltas": (SSE_ANSWER, fill(b"", b'data: {"choices":[{"delta":{"content":"a"}}],"usage":null}\n\n')),
    "deltas that differ": (SSE_ANSWER, fill(b"", b'data: {"choices":[1],"a":1}\n\ndata: {"choices":[{}]}\n\n')),
    "usage again and again": (SSE_ANSWER, fill(b"", b'data: {"usage":{"total_tokens":1}}\n\n')),
    "deep": (JSON_ANSWER, fill(b'{"a":', b"[")),
    "backslashes": (JSON_ANSWER, fill(b'{"a":"', b"\\")),
    "usage": (JSON_ANSWER, fill(b"{", b'"usage":{},')),
    "endless usage": (JSON_ANSWER, fill(b'{"usage":{"a":"', b"x")),
    "endless key": (JSON_ANSWER, fill(b'{"', b"x")),
    "escaped key": (JSON_ANSWER, fill(b'{"', b"\\u0075")),
    "endless number": (JSON_ANSWER, fill(b'{"eval_count":', b"1")),
    "numbers": (JSON_ANSWER, fill(b'{"a":[', b"1.5,")),
    "array of objects": (JSON_ANSWER, fill(b"[", b'{"candidates":[{}]},')),
    "array of empty objects": (JSON_ANSWER, fill(b"[", b"{},")),
    "lines": (LINES, fill(b"", b'{"response":"a","done":false}\n')),
    "messages": (EVENT_STREAM, fill(b"", MESSAGE)),
    "empty messages": (EVENT_STREAM, fill(b"", b"\0\0\0\x10" + b"\0" * 12)),
    "a message without end": (EVENT_STREAM, fill(b"\0\xff\xff\xff" + b"\0" * 8, b"x")),
    "endless headers": (EVENT_STREAM, fill(b"\0\xff\xff\xff\0\xff\0\0\0\0\0\0", b"x")),
    "nothing known": (JSON_ANSWER, fill(b"", b"x")),
}


def send(engine: LuaEngine, name: str, request_body: bytes, step: int) -> Callable[[int], None]:
    """What sends so many bytes of an answer, in pieces of ``step``."""
    headers, body = ANSWERS[name]

    def run(n: int) -> None:
        whole = body(n)
        stream = engine.stream()
        stream.request(request_body)
        message = stream.answer([whole[at : at + step] for at in range(0, len(whole), step)], headers)
        assert message.chunks
        assert stream.logs == []

    return run


@pytest.mark.parametrize("name", ANSWERS)
def test_answers(counted: LuaEngine, name: str) -> None:
    """The worst answers, in the pieces that a proxy sees."""
    assert_linear(counted, send(counted, name, ASKED, 16384))


@pytest.mark.parametrize("name", [name for name, (headers, _) in ANSWERS.items() if headers == SSE_ANSWER])
def test_rewritten_answers(counted: LuaEngine, name: str) -> None:
    """The same for streams that usage is taken out of."""
    assert_linear(counted, send(counted, name, UNASKED, 16384))


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["a line without end", "deltas", "data lines without end", "endless usage", "messages"]
)
def test_answers_byte_by_byte(counted: LuaEngine, name: str) -> None:
    """A byte in each piece, 160 KB of them."""
    assert_linear(counted, send(counted, name, UNASKED, 1))


MEGA: Final = 1_000_000
HUGE: Final[dict[str, tuple[Headers, Body]]] = {
    "a million short keys": (JSON_ANSWER, fill(b"{", b'"k":1,', b'"usage":{"total_tokens":7}}')),
    "a million numbers": (JSON_ANSWER, fill(b'{"a":[', b"12345,", b'1],"usage":{"total_tokens":7}}')),
    "a million empty events": (SSE_ANSWER, fill(b"", b"\n\n\n\n\n\n", b'data: {"usage":{"total_tokens":7}}\n\n')),
    "16 MB of text": (JSON_ANSWER, fill(b'{"a":"', b"x\\n\\n\\u00e9y" * 2, b'","usage":{"total_tokens":7}}')),
}


@pytest.mark.parametrize("name", HUGE)
def test_huge_answers(name: str) -> None:
    """On LuaJIT, which Envoy runs: millions of things take no seconds, and the usage after them counts."""
    headers, body = HUGE[name]
    whole = body((16 if "16 MB" in name else 6) * MEGA)
    stream = LuaEngine("luajit21").stream()
    stream.request(ASKED)
    begin = time.process_time()
    stream.answer([whole[at : at + 16384] for at in range(0, len(whole), 16384)], headers)
    assert time.process_time() - begin < PATIENCE
    assert tokens(stream.metadata) == (0, 0, 7, "reported")
