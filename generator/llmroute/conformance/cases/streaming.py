"""Streaming: charged exactly, not held back, and the stream that the client would have seen without a gateway."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from llmroute.conformance.case import Case, Expect, Profile, Request, Watch
from llmroute.conformance.features import Feature
from llmroute.conformance.policies import per_user
from llmroute.conformance.rows import (
    MESSAGES,
    PROMPT,
    SSE,
    STREAM,
    UNASKED,
    asked_for_usage,
    data,
    delta,
    message,
    ok,
    pieces,
    refused,
    reporting,
    streaming,
    usage,
)
from llmroute.conformance.upstream import Chunk, Script
from llmroute.conformance.wire.messages import event

DONE: Final = "[DONE]"
_GEMINI: Final = "/v1beta/models/gemini-2.5-flash"
_CONVERSE: Final = "/model/amazon.nova-lite-v1%3A0/converse"
_TEN: Final = {"promptTokenCount": 5, "candidatesTokenCount": 5, "totalTokenCount": 10}
_PART: Final = {"candidates": [{"content": {"parts": [{"text": "x"}], "role": "model"}, "index": 0}]}
_CONTENTS: Final = json.dumps({"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}).encode()
_CONVERSED: Final = b'{"usage":{"inputTokens":5,"outputTokens":5,"totalTokens":10}}'
_RESPONSE: Final = {
    "type": "response.completed",
    "sequence_number": 0,
    "response": {
        "id": "r1",
        "object": "response",
        "created_at": 1,
        "status": "completed",
        "model": "m",
        "output": [],
        "usage": {"input_tokens": 5, "output_tokens": 5, "total_tokens": 10},
    },
}
OPTIONS: Final[dict[str, dict[str, Any] | None]] = {
    "null": None,
    "empty": {},
    "false": {"include_usage": False},
    "other": {"other": 1},
}
"""Stream options that do not ask for usage."""
_FORCED: Final = frozenset({Feature.FORCED_USAGE})
_EXACT: Final = frozenset({Feature.TRANSPARENT})
_ESTIMATED: Final = frozenset({Feature.ESTIMATES})
_stream = partial(Case, profile=Profile.STREAMING)


def cases() -> Iterator[Case]:
    """All about streams."""
    yield from _usage()
    yield from _pace()
    yield from _lines()
    yield from _other_apis()


def _usage() -> Iterator[Case]:
    """Whether the client asked for usage or not."""
    mine = partial(
        _stream, policy=per_user(1000), proves="A stream is charged as reported, and the client sees what it asked for."
    )
    yield mine(
        "stream-asked",
        "a client that asked for usage sees all of it",
        steps=(ok(45, body=STREAM, says='"total_tokens":45'),),
    )
    whole = (data(delta("x")), data(delta("y")), data({"choices": [], "usage": usage(45)}), data(DONE))
    forced = ok(pieces(*whole), 45, body=UNASKED, gets=whole[0] + whole[1] + whole[3], upstream=asked_for_usage())
    yield mine("stream-not-asked", "a client that did not ask sees the stream it would have seen", steps=(forced, ok(3)),
               needs=_FORCED | _EXACT)  # fmt: skip
    for name, options in OPTIONS.items():
        step = ok(45, body=UNASKED | {"stream_options": options}, upstream=asked_for_usage(**{k: v for k, v in (options or {}).items()
                                                                                               if k == "other"}))  # fmt: skip
        yield mine(
            f"stream-options-{name}",
            f"usage is asked for whatever the options were: {name}",
            steps=(step,),
            needs=_FORCED,
        )
    finish = (data(delta()), data(delta("", usage=usage(18, 10, 8))), data(DONE))
    yield mine("usage-in-the-finish-chunk", "usage beside the last delta", steps=(ok(pieces(*finish), 18, body=UNASKED, gets=b"".join(finish)),),
               sources=("W-01",))  # fmt: skip
    twice = ok(
        streaming(delta("x", usage=usage(5)), delta("y", usage=usage(9)), {"choices": [], "usage": usage(11)}, DONE),
        11,
        body=STREAM,
    )
    yield mine("usage-grows", "usage in each chunk: the last one counts", steps=(twice, ok(3)))
    eleven = pieces(data({"choices": [], "usage": usage(11)}), data(DONE))
    yield mine(
        "W-01",
        "usage in one piece, the end in another: one charge",
        steps=(ok(eleven, 11, body=STREAM), ok(3)),
        sources=("W-01",),
    )
    yield mine("W-03", "an end alone reports nothing: the prompt is estimated",
               steps=(ok(pieces(data(DONE)), PROMPT, body=STREAM),), needs=_ESTIMATED, sources=("W-03",))  # fmt: skip
    yield mine("stream-without-usage", "a stream without usage: prompt bytes / 4 and a token per delta",
               steps=(ok(streaming(delta("one"), delta("two"), delta("three"), DONE), PROMPT + 3, body=UNASKED),),
               needs=_ESTIMATED)  # fmt: skip
    yield mine("refused-stream", "a refused stream is plain JSON, no event stream",
               steps=(ok(1000, body=STREAM), refused(body=STREAM, told={"content-type": "application/json"})))  # fmt: skip


def _pace() -> Iterator[Case]:
    """Pieces pass as they come."""
    mine = partial(
        _stream, policy=per_user(1000), proves="What has come is passed on while the upstream is still at it."
    )
    last = data({"choices": [], "usage": usage(7)}) + data(DONE)
    asked = Request(body=STREAM)
    watch = Watch(asked, (data(delta("first")), last), Expect((200,), charges=(7,)))
    yield mine(
        "first-byte", "the first delta is there while the second is still to come", steps=(watch,), sources=("W-02",)
    )
    whole = (data(delta("Hello")), data(delta(" World")), data({"usage": {"total_tokens": 42}}), data(DONE))
    watch = Watch(asked, whole, Expect((200,), charges=(42,)))
    yield mine("W-02", "pieces pass as they come, then the charge", steps=(watch,), sources=("W-02",))
    unseen = (data(delta("a")), data(delta("b")), b"", data(DONE))
    sent = (unseen[0], unseen[1], data({"choices": [], "usage": usage(12)}), unseen[3])
    watch = Watch(Request(body=UNASKED), sent, Expect((200,), charges=(12,)), sees=unseen)
    yield mine("pace-of-forced-usage", "also where usage is taken out again", steps=(watch,), needs=_FORCED)
    yield mine("cut-in-usage", "usage in pieces that come apart is exact", steps=(_cut(33),), needs=_ESTIMATED)


def _cut(total: int) -> Watch:
    """The event with the usage, cut in two places; pieces before its end are passed on, as the client asked for it."""
    event_ = data({"choices": [], "usage": usage(total)})
    parts = (data(delta()), event_[:20], event_[20:45], event_[45:] + data(DONE))
    return Watch(Request(body=STREAM), parts, Expect((200,), charges=(total,)))


_FOURTEEN: Final = b'{ "prompt_tokens" : 7, "completion_tokens" : 7, "total_tokens" : 14 }'
LINES: Final[dict[str, bytes]] = {
    "crlf": data(delta(), {"choices": [], "usage": usage(14)}, DONE).replace(b"\n", b"\r\n"),
    "cr": data(delta(), {"choices": [], "usage": usage(14)}, DONE).replace(b"\n", b"\r"),
    "comments": b": keep-alive\n\n" + data(delta()) + b": x\n" + data({"choices": [], "usage": usage(14)}, DONE),
    "event-names": b"event: chunk\n"
    + data(delta())
    + b"event: end\nid: 7\n"
    + data({"choices": [], "usage": usage(14)}, DONE),
    "no-blank": data(delta(), {"choices": [], "usage": usage(14)}, DONE).replace(b"data: ", b"data:"),
    "byte-order-mark": b"\xef\xbb\xbf" + data(delta(), {"choices": [], "usage": usage(14)}, DONE),
    "over-lines": data(delta()) + b'data: {"choices":[],\ndata: "usage":%b}\n\ndata: [DONE]\n\n' % _FOURTEEN,
    "no-done": data(delta(), {"choices": [], "usage": usage(14)}),
    "pretty": data(delta()) + b'data: {"choices": [], "usage" :\t%b }\n\ndata: [DONE]\n\n' % _FOURTEEN,
}
"""Streams of 14 tokens, in every way in which servers write lines."""


def _lines() -> Iterator[Case]:
    for name, stream in LINES.items():
        row = ok(pieces(stream), 14, body=STREAM, gets=stream)
        yield _stream(f"lines-{name}", f"lines of a stream: {name.replace('-', ' ')}", policy=per_user(1000), steps=(row, ok(3)),
                      proves="Every spelling of an event stream is read.", sources=("N-04",))  # fmt: skip
    split = data(delta("é…")) + data({"choices": [], "usage": usage(14)}, DONE)
    at = split.index("é".encode()) + 1 if "é".encode() in split else len(split) // 3
    row = ok(
        Script(headers=SSE, chunks=(Chunk(split[:at]), Chunk(split[at:], delay_ms=20))), 14, body=STREAM, gets=split
    )
    yield _stream("lines-cut-character", "a character cut in two, usage after it", policy=per_user(1000), steps=(row,),
                  proves="Every spelling of an event stream is read.", sources=("N-01",))  # fmt: skip


def _other_apis() -> Iterator[Case]:
    """Replayed from other gateways: three answers of 10 against 25, and no fourth."""

    def used_up(name: str, title: str, script: Script, source: str, **asked: Any) -> Case:
        steps = (*[ok(script, 10, **asked)] * 3, refused(**asked))
        return _stream(
            name,
            title,
            policy=per_user(25),
            steps=steps,
            proves="Each API's stream is charged once.",
            sources=(source,),
        )

    flat = reporting(_PART | {"usageMetadata": _TEN})
    yield used_up("KU-17", "usage of Gemini", flat, "KU-17", path=f"{_GEMINI}:generateContent", body=_CONTENTS)
    sse = streaming(_PART, _PART | {"usageMetadata": _TEN})
    path = f"{_GEMINI}:streamGenerateContent?alt=sse"
    yield used_up("KU-17-stream", "usage of Gemini, streamed", sse, "KU-17", path=path, body=_CONTENTS)
    asked = b'{"model":"gpt-4.1","input":"hello","stream":true}'
    yield used_up(
        "KU-18", "usage of OpenAI responses, streamed", streaming(_RESPONSE), "KU-18", path="/v1/responses", body=asked
    )
    conversed = Script(headers={"content-type": "application/json"}, chunks=(Chunk(_CONVERSED),))
    yield used_up("KU-19", "usage of Bedrock Converse", conversed, "KU-19", path=_CONVERSE, body=b"{}")
    binary = Script(
        headers={"content-type": "application/vnd.amazon.eventstream"}, chunks=(Chunk(event("metadata", _CONVERSED)),)
    )
    yield used_up(
        "KU-19-stream", "usage of Bedrock Converse, streamed", binary, "KU-19", path=f"{_CONVERSE}-stream", body=b"{}"
    )
    yield _stream("KU-21", "output tokens alone, of Anthropic", policy=per_user(25, token="Completion"), sources=("KU-21",),
                  steps=(*[ok(message(15, 7), 7, **MESSAGES)] * 4, refused(**MESSAGES)), proves="Each API's numbers are told apart.")  # fmt: skip
    once = ok(streaming(_PART | {"usageMetadata": _TEN}), 10, path=path, body=_CONTENTS)
    yield _stream("HI-08", "a Gemini stream is charged once, then refused", policy=per_user(10), sources=("HI-08",),
                  steps=(once, refused(path=path, body=_CONTENTS), ok(7, user="other")), proves="Each API's stream is charged once.")  # fmt: skip
