"""Cases of other gateways about answers: which of their numbers count, in every API, whole and streamed.

Read for a gateway that admits while less than the quantity is used; ``docs/cases.md`` lists all cases.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest

from e2e.client import assert_refused, usage
from e2e.conftest import Serve
from e2e.raw import Raw
from e2e.rows import STREAM, USERS, Case, Row, ok, per_user, refused, reporting, streaming
from llmroute.conformance.upstream import Chunk, Script
from llmroute.conformance.wire.messages import event
from tests.policies import limit, route, rule, text

GEMINI: Final = "/v1beta/models/gemini-2.5-flash"
CONVERSE: Final = "/model/amazon.nova-lite-v1%3A0/converse"
MESSAGES: Final = "/v1/messages"
DONE: Final = "[DONE]"
DELTA: Final = {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": "x"}}]}
TEN: Final = {"promptTokenCount": 5, "candidatesTokenCount": 5, "totalTokenCount": 10}
PART: Final = {"candidates": [{"content": {"parts": [{"text": "x"}]}, "index": 0}]}
CONVERSED: Final = {"usage": {"inputTokens": 5, "outputTokens": 5, "totalTokens": 10}}
RESPONSE: Final = {
    "type": "response.completed",
    "response": {"usage": {"input_tokens": 5, "output_tokens": 5, "total_tokens": 10}},
}
ECHO: Final = (8, 5, 10)
"""Prompt, completion, and a total that is not their sum."""
PROMPT_BYTES: Final = len(json.dumps([{"role": "user", "content": "hello"}]))
PROMPT: Final = -(-PROMPT_BYTES // 4)
"""What the prompt of a row is estimated at."""


def used_up(script: Script, *, path: str, body: dict[str, Any] | None = None, ten: int = 10) -> list[Row]:
    """Three answers of 10, and no fourth."""
    said: dict[str, Any] = {"path": path, "body": json.dumps(body or {}).encode()}
    return [*[ok(script, ten, **said)] * 3, refused(**said)]


def filled(quantity: int, each: int, **more: Any) -> list[Row]:
    """Answers until the quantity is used, and the refusal after them."""
    times = -(-quantity // each)
    lefts = [quantity - each * n for n in range(times)]
    return [*(ok(each, left=left, **more) for left in lefts), refused(**more)]


def data(*events: dict[str, Any] | str) -> bytes:
    """Server-sent events, one after the other."""
    return b"".join(f"data: {e if isinstance(e, str) else json.dumps(e)}\n\n".encode() for e in events)


def pieces(*parts: bytes) -> Script:
    """A stream in exactly these pieces."""
    return Script(headers={"content-type": "text/event-stream"}, chunks=tuple(Chunk(part) for part in parts))


def of_each_kind() -> str:
    """Total, prompt and completion side by side."""
    limits = [limit(1000, unit="Day", **kind) for kind in ({}, {"token": "Prompt"}, {"token": "Completion"})]
    return text(route(rule(*limits, headers=USERS)))


BINARY: Final = Script(
    headers={"content-type": "application/vnd.amazon.eventstream"},
    chunks=(Chunk(event("metadata", json.dumps(CONVERSED).encode())),),
)
FREE: Final = {"usage": {"onMissing": "Free"}}


def of_apis() -> Iterator[Case]:
    """What is read out of answers."""
    yield Case("KU-05", of_each_kind(), [ok(Script(), 37, 27, 10)], [("user",)] * 3)
    yield Case("KU-06", per_user(50), filled(50, 10, body=STREAM))
    yield Case("KU-16", per_user(25), [*[ok((5, 5, 10))] * 3, refused()])
    flat = reporting(PART | {"usageMetadata": TEN})
    yield Case("KU-17", per_user(25), used_up(flat, path=f"{GEMINI}:generateContent"))
    sse = streaming(PART, PART | {"usageMetadata": TEN})
    yield Case("KU-17-stream", per_user(25), used_up(sse, path=f"{GEMINI}:streamGenerateContent?alt=sse"))
    asked = {"model": "m", "input": "hello", "stream": True}
    yield Case("KU-18", per_user(25), used_up(streaming(RESPONSE), path="/v1/responses", body=asked))
    yield Case("KU-19", per_user(25), used_up(reporting(CONVERSED), path=CONVERSE))
    yield Case("KU-19-stream", per_user(25), used_up(BINARY, path=f"{CONVERSE}-stream"))
    answer = reporting({"usage": {"input_tokens": 15, "output_tokens": 7}})
    said: dict[str, Any] = {"path": MESSAGES}
    yield Case("KU-21", per_user(25, token="Completion"), [*[ok(answer, 7, **said)] * 4, refused(**said)])
    eleven = data({"usage": {"total_tokens": 11}})
    yield Case("W-01", per_user(100), [ok(pieces(eleven, data(DONE)), 11, body=STREAM)])
    whole = (data(DELTA), data(DELTA), data({"usage": {"total_tokens": 42}}), data(DONE))
    yield Case("W-02", per_user(100), [ok(pieces(*whole), 42, body=STREAM, says=b"".join(whole).decode())])
    yield Case("W-03", per_user(100, spec=FREE), [ok(pieces(data(DONE)), 0, body=STREAM)])
    yield Case("W-03-estimate", per_user(100), [ok(pieces(data(DONE)), PROMPT, body=STREAM)])


def of_numbers() -> Iterator[Case]:
    """What the numbers do to limits."""
    yield Case("AP-01", per_user(30), [*[ok(ECHO)] * 3, refused()])
    lefts = [20, 15, 10, 5]
    completions = [ok(ECHO, 5, left=left) for left in lefts]
    yield Case("AP-04", per_user(20, token="Completion"), [*completions, refused()])
    said: dict[str, Any] = {"path": f"{GEMINI}:streamGenerateContent?alt=sse"}
    stream = ok(streaming(PART | {"usageMetadata": TEN}), 10, **said)
    yield Case("HI-08", per_user(10), [stream, refused(**said), ok(7, user="other")])
    yield Case("HI-09", per_user(1000), [ok(1001), refused(says="limit 1000, used up")])
    yield Case("WS-04", per_user(100, unit="Hour"), [ok(15, left=100), ok(15, left=85)])
    yield Case("WS-08", per_user(10, unit="Hour"), [ok(5, left=10), ok(0, left=5), ok(5, left=5), refused()])
    for kind, tokens in (("Total", 20), ("Prompt", 4), ("Completion", 5)):
        row = ok((4, 5, 20), tokens)
        yield Case(f"WS-12-{kind}", per_user(tokens, token=kind), [row, refused()])
    anthropic = reporting({"usage": {"input_tokens": 50, "output_tokens": 25}})
    one = ok(anthropic, 75, path=MESSAGES, left=75)
    yield Case("WS-13", per_user(75), [one, refused(path=MESSAGES), refused()])
    yield Case("WS-15", per_user(1000), [ok(75, left=1000), ok(1, left=925)])
    two = {"usage": {"onMissing": "Fixed", "fixedTokens": 2}}
    malformed = Script(usage="absent")
    row = ok(malformed, 2, body=b'{"model": "m", "messages": [')
    yield Case("WS-19", per_user(4, spec=two), [row, row, refused(body=b'{"model": "m",')])
    yield Case("WS-21", per_user(2), [*[ok(0)] * 3, ok(1), ok(1), refused()])
    yield Case("LL-04", per_user(1000), [ok(50, left=1000), ok(1, left=950)])
    yield Case("AG-06", per_user(100, unit="Minute"), [*[ok(35)] * 3, refused()])
    plain = "no JSON at all"
    charged = PROMPT - (-len(plain) // 4)
    row = ok(Script(body=plain, headers={"content-type": "text/plain"}), charged, left=100_000, says=plain)
    yield Case("PX-01", per_user(100_000), [row])
    forty = {"usage": {"onMissing": "Fixed", "fixedTokens": 40}}
    yield Case("PX-02", per_user(90, spec=forty), [*[ok(Script(usage="absent"), 40)] * 3, refused()])
    yield Case("NX-01", per_user(100), [*[ok((8, 30, 38))] * 3, refused(says="Rate limit reached")])
    yield Case("NX-03", per_user(100), [ok(100), refused(), ok(101, user="b"), refused(user="b"), ok(99, user="c"),
                                        ok(1, left=1, user="c")])  # fmt: skip
    yield Case("NX-06", per_user(50), [*[ok(8)] * 7, refused()])
    yield Case("TZ-14", per_user(75), [ok(0), ok(75), refused(), ok(76, user="b"), refused(user="b")])
    yield Case("N-08", per_user(10), [ok(9), ok(500, left=1), refused()])
    logprobs = {"choices": [{"logprobs": {"content": [{"token": "usage", "bytes": [1]}]}}] * 3, "usage": usage(21)}
    yield Case("N-18", per_user(100), [ok(reporting(logprobs), 21, body={"n": 3, "logprobs": True})])


CASES: Final = (*of_apis(), *of_numbers())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_case(serve: Serve, case: Case) -> None:
    """Row by row: status, what the answer says to be left, and every counter."""
    case.run(serve)


@pytest.mark.parametrize("streamed", [False, True], ids=["json", "stream"])
@pytest.mark.parametrize("coding", ["gzip", "br", "zstd", "deflate"])
def test_n03(serve: Serve, coding: str, streamed: bool) -> None:
    """N-03: what is compressed cannot be read: it passes to the byte, and a quarter of its bytes is charged."""
    client = serve(per_user(100))
    packed = b"\x01\x02\x03\x04\x05"
    kind = "text/event-stream" if streamed else "application/json"
    script = Script(headers={"content-encoding": coding, "content-type": kind}, chunks=(Chunk(packed),))
    response, body = Raw(client, script).exchange()
    assert (response.status, response.getheader("content-encoding"), body) == (200, coding, packed)
    assert client.settled(4) == 4  # 2 for the prompt
    assert client.chat(96).status == 200
    assert client.settled(100) == 100
    assert_refused(client.chat(1))
    assert client.stack.used(0, client.user) == 100
