"""What the filter keeps is capped, and nothing makes it slower than the input is long."""

from __future__ import annotations

import time

import pytest

from tests.filters.proxy import JSON_ANSWER, SSE_ANSWER, Engine, tokens
from tests.filters.test_streams import ASKED, UNASKED, delta, last, usage

CAP = 24 * 1024
"""Of the lines of one event together, each with 32 bytes more for keeping it."""
PATIENCE = 3.0
"""Seconds of CPU. Each case takes some hundredths; quadratic ones would take minutes."""

SIZE = 1_000_000
REQUESTS = {
    "quotes": b'"' * SIZE,
    "escaped quotes": b'{"a":"' + b'\\"' * (SIZE // 2) + b'"}',
    "backslashes": b'{"a":"' + b"\\" * SIZE + b'"}',
    "unicode escapes": b'{"a":"' + b"\\u0061" * (SIZE // 6) + b'"}',
    "open brackets": b'{"a":' + b"[" * SIZE,
    "nested objects": b'{"a":' + b'{"a":' * (SIZE // 5),
    "small strings": b'{"a":[' + b'"",' * (SIZE // 3) + b'""]}',
    "small strings and one escape": b'{"a":[' + b'"",' * (SIZE // 3) + b'"\\n"]}',
    "members": b"{" + b'"model":"a",' * (SIZE // 12) + b'"model":"z"}',
    "numbers": b'{"a":[' + b"1," * (SIZE // 2) + b"1]}",
    "blanks": b"{" + b" " * SIZE,
    "digits": b'{"a":' + b"1" * SIZE,
    "long key": b'{"' + b"m" * SIZE + b'":1}',
    "long model": b'{"model":"' + b"\\u00e9" * (SIZE // 6) + b'"}',
}


@pytest.mark.parametrize("name", REQUESTS)
def test_request_scan_is_linear(engine: Engine, name: str) -> None:
    """A megabyte of the worst input is scanned in no time."""
    stream = engine.stream()
    begin = time.process_time()
    stream.request(REQUESTS[name])
    assert time.process_time() - begin < PATIENCE
    assert stream.logs == []


STREAMS = {
    "empty events": [b"\n" * 200_000],
    "CR events": [b"\r" * 200_000],
    "CR lines": [b"data: {}\r" * 20_000],
    "comments without end": [b":\n" * 100_000],
    "fields without end": [b"id: 1\n" * 50_000],
    "data without end": [b"data:x\n" * 50_000],
    "one line": [b"data: {" + b"x" * 1_000_000],
    "byte by byte": [b"%c" % byte for byte in b"data: " + b"x" * 20_000],
    "many lines in one event, byte by byte": [b"%c" % byte for byte in b"data:\n" * 4000],
    "deep": [b"data: " + b"[" * 60_000 + b"\n\n"] * 4,
}


@pytest.mark.parametrize("request_body", [ASKED, UNASKED])
@pytest.mark.parametrize("name", STREAMS)
def test_stream_scan_is_linear(engine: Engine, name: str, request_body: bytes) -> None:
    """The worst streams cost no more than their length, rewritten or not, and not a byte of them is lost."""
    stream = engine.stream()
    stream.request(request_body)
    begin = time.process_time()
    message = stream.answer(STREAMS[name], SSE_ANSWER)
    assert time.process_time() - begin < PATIENCE
    assert message.body == b"".join(STREAMS[name])
    assert stream.logs == []


ANSWERS = {
    "deep": [b'{"a":' + b"[" * 1_000_000],
    "escapes": [b'{"a":"' + b"\\" * 999_999, b'","usage":{"total_tokens":7}}'],
    "byte by byte": [b"%c" % byte for byte in b'{"usage":{"a":"' + b"\\" * 20_000],
    "members": [b"{" + b'"usage":{},' * 30_000],
    "endless usage": [b'{"usage":{"a":"'] + [b"x" * 1000] * 1000,
    "endless key": [b'{"' + b"x" * 1000] * 500,
}


@pytest.mark.parametrize("name", ANSWERS)
def test_answer_scan_is_linear(engine: Engine, name: str) -> None:
    """The same for JSON answers."""
    stream = engine.stream()
    stream.request(ASKED)
    begin = time.process_time()
    stream.answer(ANSWERS[name], JSON_ANSWER)
    assert time.process_time() - begin < PATIENCE
    assert stream.logs == []


@pytest.mark.parametrize("request_body", [ASKED, UNASKED])
@pytest.mark.parametrize("step", [1_000_000, 5000])
def test_line_over_the_cap_is_given_up_not_the_stream(engine: Engine, request_body: bytes, step: int) -> None:
    """An event over the cap counts as one delta and is not kept; what comes after it is read again."""
    long = delta("x" * CAP) + delta("b")
    body = long.encode()
    chunks = [body[at : at + step] for at in range(0, len(body), step)]
    stream = engine.stream()
    stream.request(request_body)
    assert stream.answer(chunks, SSE_ANSWER).body == body
    assert tokens(stream.metadata) == (2, 2, 4, "estimated")
    stream = engine.stream()
    stream.request(request_body)
    stream.answer([*chunks, last(usage(5, 2, 7)).encode()], SSE_ANSWER)
    assert tokens(stream.metadata) == (5, 2, 7, "reported")


@pytest.mark.parametrize("request_body", [ASKED, UNASKED])
def test_usage_in_an_event_over_the_cap_is_read_in_passing(engine: Engine, request_body: bytes) -> None:
    """A response.completed of megabytes still reports, in whatever pieces it comes, and its bytes go on."""
    for extra in (-100, -1, 0, 1, 5000):
        text = last(usage(5, 2, 7)).replace('"id"', " " * (CAP + extra) + '"id"')
        body = text.replace('"choices": []', '"choices": [1]').encode()
        for step in (len(body), CAP, CAP + 1, 1000, 7):
            stream = engine.stream()
            stream.request(request_body)
            message = stream.answer([body[at : at + step] for at in range(0, len(body), step)], SSE_ANSWER)
            assert message.body == body
            assert tokens(stream.metadata) == (5, 2, 7, "reported")


def test_held_bytes_are_capped(engine: Engine) -> None:
    """A rewritten stream holds no more than the cap: what is over the cap goes on at once."""
    stream = engine.stream()
    stream.request(UNASKED)
    message = stream.answer([b"data: " + b"x" * CAP, b"y", b"z\n\n"], SSE_ANSWER)
    assert [len(chunk) for chunk in message.chunks] == [CAP + 6, 1, 3]


def test_metadata_is_written_when_it_changes(engine: Engine) -> None:
    """Pieces that change no number write nothing."""
    stream = engine.stream()
    stream.request(ASKED)
    before = stream.writes
    stream.answer([b": ping\n\n"] * 100, SSE_ANSWER)
    assert stream.writes - before == 3
    stream.answer([last(usage(5, 2, 7)).encode()] + [b"data: {}\n\n"] * 100, SSE_ANSWER)
    assert stream.writes - before == 3 + 3 + 4
