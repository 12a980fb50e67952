"""What a request can command of the upstream, down to the bytes and the cut points."""

from __future__ import annotations

import json

import httpx
import pytest

from llmroute.conformance.upstream import SCRIPT_HEADER, Break, Chunk, Script, ScriptedUpstream
from tests.unit.upstream.conftest import CHAT, command, raw_post

STREAM = {"model": "m", "stream": True}


def test_status_headers_and_body_as_told(client: httpx.Client) -> None:
    """A scripted answer is what the script says, with its own headers in place of ours."""
    script = Script(status=429, headers={"Retry-After": "7", "content-type": "text/plain"}, body="slow\ndown é")
    answer = client.post(CHAT, json={}, headers=command(script))
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
    assert answer.headers.get_list("content-type") == ["text/plain"]
    assert answer.content == "slow\ndown é".encode()
    assert answer.headers["content-length"] == "12"


def test_a_json_body_is_compact(client: httpx.Client) -> None:
    """A body that is no string is written as JSON, on any path."""
    answer = client.post("/v1/messages", json={}, headers=command(Script(body={"usage": {"input_tokens": 3}})))
    assert answer.content == b'{"usage":{"input_tokens":3}}'


def test_an_error_status_alone_gets_openais_error_body(client: httpx.Client) -> None:
    """Without a body of its own an error says so in OpenAI's words, and reports no usage."""
    answer = client.post(CHAT, json=STREAM, headers=command(Script(status=503)))
    assert answer.json()["error"] == {
        "message": "scripted status 503",
        "type": "server_error",
        "param": None,
        "code": None,
    }


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (Script(usage={"total_tokens": 9}), {"total_tokens": 9}),
        (Script(usage=None), None),
    ],
)
def test_usage_as_told(client: httpx.Client, script: Script, expected: object) -> None:
    """A scripted usage, or null, stands where the default one would."""
    assert client.post(CHAT, json={}, headers=command(script)).json()["usage"] == expected


def test_absent_usage_leaves_no_key(client: httpx.Client) -> None:
    """``absent`` is an answer that never heard of usage, streamed or not."""
    headers = command(Script(usage="absent"))
    asking = {**STREAM, "stream_options": {"include_usage": True}}
    assert "usage" not in client.post(CHAT, json={}, headers=headers).json()
    assert "usage" not in client.post(CHAT, json=asking, headers=headers).text


def test_null_usage_in_a_stream_never_becomes_a_number(client: httpx.Client) -> None:
    """Every chunk says null, and the last chunk with numbers is missing."""
    asking = {**STREAM, "stream_options": {"include_usage": True}}
    text = client.post(CHAT, json=asking, headers=command(Script(usage=None))).text
    assert text.count('"usage":null') == 12
    assert '"choices":[]' not in text


def test_deltas_as_many_as_told(client: httpx.Client) -> None:
    """A longer or shorter answer, over the document's words again and again."""
    text = client.post(CHAT, json=STREAM, headers=command(Script(deltas=23))).text
    assert text.count('"content":') == 24  # the role's empty one too
    whole = client.post(CHAT, json={}, headers=command(Script(deltas=2))).json()
    assert whole["choices"][0]["message"]["content"] == "I'm"
    assert client.post(CHAT, json=STREAM, headers=command(Script(deltas=0))).text.count("data: {") == 2


def test_chunks_are_cut_exactly_where_told(upstream: ScriptedUpstream) -> None:
    """Each chunk is one HTTP chunk: inside a line, inside a character, single bytes."""
    pieces = [b'data: {"us', b'age":{"total_tokens":1', b"8}}", b"\n", b"\ndata: \xc3", b"\xa9\n\n"]
    script = Script(chunks=tuple(Chunk(piece) for piece in pieces))
    raw = raw_post(upstream, STREAM, command(script))
    assert raw.chunks == pieces
    assert raw.complete
    assert "content-type: text/event-stream; charset=utf-8" in raw.head.lower()


def test_default_events_are_one_chunk_each(upstream: ScriptedUpstream) -> None:
    """A default stream is framed event by event, as servers do."""
    raw = raw_post(upstream, STREAM, {})
    assert len(raw.chunks) == 13
    assert all(chunk.startswith(b"data: ") and chunk.endswith(b"\n\n") for chunk in raw.chunks)
    assert raw.chunks[-1] == b"data: [DONE]\n\n"


def test_break_before_the_answer(upstream: ScriptedUpstream) -> None:
    """The connection closes and not a byte has come."""
    raw = raw_post(upstream, STREAM, command(Script(break_after=Break("request"))))
    assert (raw.head, raw.chunks) == ("", [b""])
    (served,) = upstream.wait_for(lambda all_: all_[0].finished)
    assert (served.status, served.broken, served.chunks) == (None, True, 0)


def test_break_after_chunks(upstream: ScriptedUpstream) -> None:
    """Two events arrive, the end of the body never does."""
    raw = raw_post(upstream, STREAM, command(Script(break_after=Break("chunks", 2))))
    assert (len(raw.chunks), raw.complete) == (2, False)
    (served,) = upstream.wait_for(lambda all_: all_[0].finished)
    assert (served.status, served.broken, served.chunks, served.disconnected) == (200, True, 2, False)


def test_break_after_bytes_of_a_json_body(upstream: ScriptedUpstream) -> None:
    """The head promises the whole body and a part comes."""
    raw = raw_post(upstream, {}, command(Script(body="0123456789", break_after=Break("bytes", 4))))
    assert raw.chunks == [b"0123"]
    assert "content-length: 10" in raw.head.lower()


def test_break_after_bytes_cuts_within_a_chunk(upstream: ScriptedUpstream) -> None:
    """Bytes count across chunks, and framing stays whole up to the cut."""
    script = Script(chunks=(Chunk(b"abc"), Chunk(b"defg")), break_after=Break("bytes", 5))
    raw = raw_post(upstream, {}, command(script))
    assert (raw.chunks, raw.complete) == ([b"abc", b"de"], False)


def test_a_large_answer_is_whole_before_a_break(upstream: ScriptedUpstream) -> None:
    """What was written before the break arrives, beyond any socket buffer."""
    script = Script(deltas=2_000_000, break_after=Break("chunks", 1))
    raw = raw_post(upstream, {}, command(script))
    assert len(raw.chunks[0]) > 7_000_000
    assert f"content-length: {len(raw.chunks[0])}\r\n" in raw.head.lower() + "\r\n"


def test_close_answers_in_full_first(client: httpx.Client) -> None:
    """``close`` is a polite end: the whole answer, and a header that says so."""
    answer = client.post(CHAT, json={}, headers=command(Script(close=True)))
    assert (answer.headers["connection"], answer.json()["usage"]["total_tokens"]) == ("close", 37)


def test_delay_holds_the_answer_back(client: httpx.Client) -> None:
    """``delay_ms`` is milliseconds before the head."""
    answer = client.post(CHAT, json={}, headers=command(Script(delay_ms=120)))
    assert answer.elapsed.total_seconds() >= 0.12


def test_a_held_chunk_comes_on_release_and_the_first_before_it(
    upstream: ScriptedUpstream, client: httpx.Client
) -> None:
    """A test that reads the first chunk while the second is held has proved that it is not held back."""
    script = Script(chunks=(Chunk(b"first"), Chunk(b"second", hold="rest")))
    with client.stream("POST", CHAT, json=STREAM, headers=command(script)) as answer:
        body = answer.iter_raw()
        assert next(body) == b"first"
        (served,) = upstream.wait_for(lambda all_: all_[0].holding == "rest")
        assert (served.chunks, served.finished) == (1, False)
        upstream.release("rest")
        assert b"".join(body) == b"second"


def test_a_name_released_before_stays_released(upstream: ScriptedUpstream, client: httpx.Client) -> None:
    """Release and hold may come in either order."""
    upstream.release("early")
    assert client.post(CHAT, json={}, headers=command(Script(hold="early"))).status_code == 200


@pytest.mark.parametrize(
    ("header", "complaint"),
    [
        ("{", "not JSON"),
        ("[]", "an object is needed"),
        ('{"stauts":200}', "unknown field stauts"),
        ('{"status":true}', "status: a whole number"),
        ('{"status":700}', "status: 700 is no HTTP status"),
        ('{"usage":"some"}', "usage: "),
        ('{"headers":{"a":1}}', "headers.a: "),
        ('{"headers":{"a":"b\\nc: d"}}', "headers.a: "),
        ('{"chunks":{}}', "chunks: a list"),
        ('{"chunks":[{"data":"a","base64":"YQ=="}]}', 'chunks[0]: one of "data" and "base64"'),
        ('{"chunks":[{"base64":"?"}]}', "chunks[0]: "),
        ('{"chunks":[{"data":1}]}', "chunks[0]: a string"),
        ('{"break_after":{"unit":"days"}}', "break_after.unit: "),
        ('{"hold":""}', "hold: a name"),
        ('{"close":1}', "close: true or false"),
    ],
)
def test_a_script_that_cannot_be_obeyed_is_refused(client: httpx.Client, header: str, complaint: str) -> None:
    """A mistake in a script is a 400 that names the field, never a plausible answer."""
    answer = client.post(CHAT, json={}, headers={SCRIPT_HEADER: header})
    assert answer.status_code == 400
    assert complaint in answer.json()["error"]["message"]


def test_a_script_and_a_body_of_a_megabyte_are_taken(upstream: ScriptedUpstream) -> None:
    """The upstream's own bounds are out of the way of a proxy's."""
    script = Script(body="y" * 300_000)
    raw = raw_post(upstream, {"model": "m", "pad": "z" * 2_000_000}, command(script))
    assert len(raw.chunks[0]) == 300_000
    assert len(json.loads(upstream.requests()[0].body)["pad"]) == 2_000_000


def test_waiting_in_vain_says_what_came(upstream: ScriptedUpstream) -> None:
    """Waiting for what never comes ends in an error that lists what did come."""
    with pytest.raises(TimeoutError, match=r"within 0.01 s; it served:\n  \(none\)"):
        upstream.wait_for(bool, timeout=0.01)
