"""Metering of event streams, and what a client that did not ask for usage gets to see."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmroute import names
from tests.filters.proxy import EVERY, SSE_ANSWER, Engine, Message, Stream, cuts, engine_named, tokens

ASKED = b'{"model":"m","stream":true,"messages":["1"],"stream_options":{"include_usage":true}}'
UNASKED = b'{"model":"m","stream":true,"messages":["1"]}'
PROMPT = 2
DONE = "data: [DONE]\n\n"


def event(value: object) -> str:
    """One event as OpenAI writes it."""
    return f"data: {json.dumps(value, separators=(',', ':'), ensure_ascii=False)}\n\n"


def delta(content: str, **more: object) -> str:
    """One streamed token."""
    return event({"id": "c1", "choices": [{"index": 0, "delta": {"content": content}}], **more})


def usage(prompt: int, completion: int, total: int, **more: object) -> dict[str, object]:
    """A usage object."""
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total, **more}


def last(reported: dict[str, object]) -> str:
    """The extra chunk of a stream that was asked for usage."""
    return event({"id": "c1", "choices": [], "usage": reported})


def stream_of(engine: Engine, request: bytes = ASKED) -> Stream:
    """A stream whose request has been through the filter."""
    stream = engine.stream()
    stream.request(request)
    return stream


def send(stream: Stream, chunks: list[bytes], **more: Any) -> Message:
    """The answer through the filter, without a fault."""
    message = stream.answer(chunks, SSE_ANSWER, **more)
    assert stream.logs == []
    return message


DETAILS = {"prompt_tokens_details": {"cached_tokens": 10}, "completion_tokens_details": {"reasoning_tokens": 7}}
ESCAPED = delta("x").replace("}\n", ',"us\\u0061ge":{"total_tokens":7}}\n')
TRICK = delta('"usage":{"total_tokens":1}\\')
READ = {
    "FX-01 usage in the finish chunk": (delta("a") + delta("", usage=usage(10, 8, 18)) + DONE, (10, 8, 18)),
    "FX-02 null, then details": (
        delta("a", usage=None) + delta("b", usage=None) + last(usage(30, 15, 45, **DETAILS)) + DONE,
        (30, 15, 45),
    ),
    "FX-03 null twice": (delta("a", usage=None) + delta("b", usage=None) + last(usage(10, 2, 12)) + DONE, (10, 2, 12)),
    "FX-12 usage only": (delta("a") + last(usage(10, 5, 15)) + DONE, (10, 5, 15)),
    "FX-15 null until the last": (delta("a", usage=None) + last(usage(5, 2, 7)), (5, 2, 7)),
    "FX-21 usage in text": (TRICK + last(usage(5, 2, 7)) + TRICK + DONE, (5, 2, 7)),
    "FX-23 several data lines": ('data: {"usage":{\ndata:"prompt_tokens":1,\ndata:  "total_tokens":4}}\n\n', (1, 0, 4)),
    "cumulative": (delta("a", usage=usage(5, 1, 6)) + delta("b", usage=usage(5, 2, 7)) + DONE, (5, 2, 7)),
    "null after usage": (last(usage(5, 2, 7)) + delta("b", usage=None), (5, 2, 7)),
    "escaped key": (ESCAPED + DONE, (0, 0, 7)),
    "CRLF": ((delta("é") + last(usage(5, 2, 7)) + DONE).replace("\n", "\r\n"), (5, 2, 7)),
    "CR": ((delta("é") + last(usage(5, 2, 7)) + DONE).replace("\n", "\r"), (5, 2, 7)),
    "mixed ends": ("data: {}\r\n\ndata: {}\r\r\n" + last(usage(5, 2, 7)).replace("\n\n", "\n\r"), (5, 2, 7)),
    "BOM": ("\ufeff" + last(usage(5, 2, 7)), (5, 2, 7)),
    "comments, fields, no space": (
        ": ping\n\n:x\nevent: m\nid: 1\n" + last(usage(5, 2, 7)).replace("data: ", "data:") + "retry: 1\n\n",
        (5, 2, 7),
    ),
    "unended event": (delta("a") + last(usage(5, 2, 7)).removesuffix("\n"), (5, 2, 7)),
    "unended line": (delta("a") + last(usage(5, 2, 7)).removesuffix("\n\n"), (5, 2, 7)),
    "other fields": ("database: {}\n\ndat: {}\n\ndata\n\ndata:\n\n" + last(usage(5, 2, 7)), (5, 2, 7)),
}


@pytest.mark.parametrize("name", READ)
def test_usage_is_exact_at_every_cut(engine: Engine, name: str) -> None:
    """The last complete usage is charged; a client that asked for it sees every byte untouched."""
    text, expected = READ[name]
    for chunks in cuts(text.encode()):
        stream = stream_of(engine)
        assert send(stream, chunks).chunks == chunks
        assert tokens(stream.metadata) == (*expected, "reported"), chunks


def test_details_are_read(engine: Engine) -> None:
    """Cached and reasoning tokens of FX-02."""
    stream = stream_of(engine)
    send(stream, [READ["FX-02 null, then details"][0].encode()])
    assert (stream.metadata[names.CACHED_TOKENS], stream.metadata[names.REASONING_TOKENS]) == (10, 7)


ESTIMATED = {
    "FX-04 no usage": (delta("a") + delta("b") + delta("c") + DONE, 3),
    "cut before usage": (delta("a") + last(usage(5, 2, 7))[:-10], 1),
    "no choices": (event({"choices": []}) + event([1]) + "data: x\n\n", 0),
    "an object of no known shape is weighed": (event({"x": 1}), 2),
    "nested usage": (event({"choices": [{"usage": usage(1, 1, 2)}], "x": {"usage": usage(1, 1, 2)}}), 1),
    "usage of strings": (event({"choices": [1], "usage": {"total_tokens": "7"}}), 1),
    "BOM on a later line": (delta("a") + "\ufeff" + delta("b"), 1),
    "empty": ("", 0),
    "broken JSON": ('data: {"choices":[1]\n\ndata: {"choices":[1]}x\n\n', 0),
}


@pytest.mark.parametrize("name", ESTIMATED)
def test_stream_without_usage_is_estimated(engine: Engine, name: str) -> None:
    """One token for every delta, which is an event that is JSON with a choice, and the prompt."""
    text, deltas = ESTIMATED[name]
    for chunks in cuts(text.encode()):
        stream = stream_of(engine)
        send(stream, chunks)
        assert tokens(stream.metadata) == (PROMPT, deltas, PROMPT + deltas, "estimated")


def test_client_that_leaves_is_charged_for_what_it_saw(engine: Engine) -> None:
    """The metadata is current after every chunk, and estimates never replace what was reported."""
    stream = stream_of(engine)
    pieces = [delta("a"), delta("b") + delta("c"), last(usage(5, 2, 7)), delta("d"), DONE]
    seen = [tokens(metadata) for metadata in send(stream, [piece.encode() for piece in pieces], watch=True).seen]
    assert seen == [
        (2, 1, 3, "estimated"),
        (2, 3, 5, "estimated"),
        (5, 2, 7, "reported"),
        (5, 2, 7, "reported"),
        (5, 2, 7, "reported"),
    ]


@pytest.mark.parametrize("kind", ["text/event-stream", "Text/Event-Stream; charset=utf-8", "text/event-stream;x"])
def test_content_type_of_streams(engine: Engine, kind: str) -> None:
    """Case and parameters of the content type do not matter."""
    stream = stream_of(engine)
    stream.answer([last(usage(5, 2, 7)).encode()], [(":status", "200"), ("content-type", kind)])
    assert tokens(stream.metadata) == (5, 2, 7, "reported")


FINISH = event({"id": "c1", "choices": [{"delta": {}, "finish_reason": "stop"}]})
FORCED = {
    "OpenAI": (
        delta("é", usage=None) + delta('"usage":null', usage=None) + last(usage(5, 2, 7)) + DONE,
        delta("é") + delta('"usage":null') + DONE,
        7,
    ),
    "spaces": (
        'data: {"choices": [1], "usage": null}\n\ndata:{"usage": null , "choices":[1]}\n\ndata: {"usage":null}\n\n'
        'data: {"a":1 , "usage":null, "choices":[]}\n\n' + last(usage(5, 2, 7)),
        'data: {"choices": [1]}\n\ndata:{"choices":[1]}\n\ndata: {}\n\ndata: {"a":1 , "choices":[]}\n\n',
        7,
    ),
    "never a null": (delta("a") + last(usage(5, 2, 7)) + DONE, delta("a") + DONE, 7),
    "usage twice": (last(usage(1, 1, 2)) + delta("a") + last(usage(5, 2, 7)) + DONE, delta("a") + DONE, 7),
    "no usage": (delta("a") + DONE, delta("a") + DONE, 3),
    "no end": (delta("a", usage=None) + last(usage(5, 2, 7)).removesuffix("\n\n"), delta("a"), 7),
    "last delta unended": (delta("a", usage=None).removesuffix("\n\n"), delta("a").removesuffix("\n\n"), 3),
    "cut delta": (delta("a") + 'data: {"choices":[{', delta("a") + 'data: {"choices":[{', 3),
    "finish chunk": (delta("", usage=usage(5, 2, 7)) + DONE, delta("", usage=usage(5, 2, 7)) + DONE, 7),
    "fields and comments": (
        ": hi\n\n: ho\nevent: m\nid: 7\n" + last(usage(5, 2, 7)) + "id: 8\n" + FINISH + ":\n",
        ": hi\n\n: ho\nid: 8\n" + FINISH + ":\n",
        7,
    ),
    "several data lines": (
        'data: {"choices":[],\ndata: "usage":{"total_tokens":7}}\n\ndata: {"choices":[1],\ndata: "usage":null}\n\n',
        'data: {"choices":[1],\ndata: "usage":null}\n\n',
        7,
    ),
    "BOM": ("\ufeff" + delta("a", usage=None) + last(usage(5, 2, 7)), "\ufeff" + delta("a"), 7),
    "empty events": (
        "\n\n\n" + delta("a", usage=None) + "\n\n" + last(usage(5, 2, 7)),
        "\n\n\n" + delta("a") + "\n\n",
        7,
    ),
    "no usage after usage": (
        last(usage(5, 2, 7)) + last(usage(1, 1, 2)).replace("usage", "other") + DONE,
        last(usage(1, 1, 2)).replace("usage", "other") + DONE,
        7,
    ),
    "error": (event({"error": {"message": "x"}}), event({"error": {"message": "x"}}), 2),
    "empty": ("", "", 2),
}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("name", FORCED)
def test_client_that_did_not_ask_sees_the_stream_it_would_have_seen(engine: Engine, name: str, end: str) -> None:
    """What forcing usage added is taken out to the byte, at every cut and for every line end; the charge is exact."""
    sent, wanted, total = (FORCED[name][0].replace("\n", end), FORCED[name][1].replace("\n", end), FORCED[name][2])
    for chunks in cuts(sent.encode()):
        stream = stream_of(engine, UNASKED)
        assert send(stream, chunks).body == wanted.encode(), chunks
        assert stream.metadata[names.TOTAL_TOKENS] == total, chunks


def test_whole_events_go_on_at_once(engine: Engine) -> None:
    """An event that a piece completes is sent with that piece; only an unfinished one is held."""
    stream = stream_of(engine, UNASKED)
    one, two = delta("a").encode(), delta("b").encode()
    pieces = [one, two[:10], two[10:-1], two[-1:], b": ping\n", b"data: [DO", b"NE]\n\n"]
    message = send(stream, pieces)
    assert message.chunks == [one, b"", b"", two, b": ping\n", b"", b"data: [DONE]\n\n"]


def test_held_bytes_are_sent_at_the_end(engine: Engine) -> None:
    """An unfinished event goes on with the piece that ends the stream, even an empty one."""
    stream = stream_of(engine, UNASKED)
    message = send(stream, [b"data: [DO", b"NE]", b""])
    assert message.chunks == [b"", b"", b"data: [DONE]"]


def test_trailers_end_a_stream(engine: Engine) -> None:
    """After trailers nothing can be added: whole events are through, half an event is lost without a fault."""
    stream = stream_of(engine, UNASKED)
    message = send(stream, [delta("a", usage=None).encode(), last(usage(5, 2, 7)).encode(), b"data: x"], trailers=True)
    assert message.chunks == [delta("a").encode(), b"", b""]
    assert tokens(stream.metadata) == (5, 2, 7, "reported")


def test_content_length_goes_when_the_stream_shrinks(engine: Engine) -> None:
    """A stream that announced its length loses the header when bytes may be taken out, and only then."""
    sent = [*SSE_ANSWER, ("content-length", "500")]
    assert stream_of(engine, UNASKED).answer([DONE.encode()], sent).header("content-length") is None
    assert stream_of(engine, ASKED).answer([DONE.encode()], sent).header("content-length") == "500"


def test_forced_stream_answered_as_json(engine: Engine) -> None:
    """A server that does not stream answers in JSON: it is metered and untouched."""
    stream = stream_of(engine, UNASKED)
    body = b'{"choices":[],"usage":{"total_tokens":7}}'
    message = stream.answer(
        [body], [(":status", "200"), ("content-type", "application/json"), ("content-length", "41")]
    )
    assert message.body == body
    assert message.header("content-length") == "41"
    assert tokens(stream.metadata) == (0, 0, 7, "reported")


def test_compressed_stream_is_left_alone(engine: Engine) -> None:
    """A compressed stream cannot be read: it passes, and its bytes are weighed."""
    stream = stream_of(engine, UNASKED)
    message = stream.answer([b"12345678"], [*SSE_ANSWER, ("content-encoding", "gzip")])
    assert message.body == b"12345678"
    assert tokens(stream.metadata) == (PROMPT, 2, PROMPT + 2, "estimated")


_CONTENT = st.text(st.sampled_from('usage":null,{}[]\\\n\r é'), max_size=6)
_PARTS = st.lists(
    st.tuples(st.sampled_from(["delta", "usage", "comment", "empty", "raw", "finish"]), _CONTENT), max_size=6
)


def _render(parts: list[tuple[str, str]], end: str, *, forced: bool) -> str:
    out = []
    for kind, content in parts:
        if kind == "delta":
            out.append(delta(content, **({"usage": None} if forced else {})))
        elif kind == "usage":
            out.append(last(usage(1, len(content), 9)) if forced else "")
        elif kind == "comment":
            out.append(": " + content.replace("\n", "").replace("\r", "") + "\n")
        else:
            out.append({"empty": "\n", "raw": "data: x\n\n", "finish": FINISH}[kind])
    return "".join(out).replace("\n", end)


@pytest.mark.parametrize("name", EVERY)
def test_stripping_agrees_with_the_unforced_stream(name: str) -> None:
    """Random streams in random pieces: what is left of the forced stream is the unforced one."""
    engine = engine_named(name)

    @settings(max_examples=300, deadline=None, database=None, derandomize=True)
    @given(_PARTS, st.sampled_from(["\n", "\r\n", "\r"]), st.lists(st.integers(1, 40), min_size=1, max_size=5))
    def agree(parts: list[tuple[str, str]], end: str, sizes: list[int]) -> None:
        body, at = _render(parts, end, forced=True).encode(), 0
        chunks: list[bytes] = []
        while at < len(body):
            size = sizes[len(chunks) % len(sizes)]
            chunks.append(body[at : at + size])
            at += size
        stream = stream_of(engine, UNASKED)
        assert send(stream, chunks).body == _render(parts, end, forced=False).encode()
        totals = [9 for kind, _ in parts if kind == "usage"]
        deltas = sum(kind in {"delta", "finish"} for kind, _ in parts)
        assert stream.metadata[names.TOTAL_TOKENS] == (totals[-1] if totals else PROMPT + deltas)

    agree()
