"""Accounting: what is charged where the answer is not plain: no usage, an error, a client that leaves; and how soon."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Final

from llmroute.conformance.case import HELLO, Case, Expect, Profile, Request, Seen, Step, Watch
from llmroute.conformance.cases.prices import PRICES
from llmroute.conformance.features import Feature
from llmroute.conformance.policies import per_user
from llmroute.conformance.rows import (
    PROMPT,
    STREAM,
    UNASKED,
    data,
    delta,
    denied,
    ok,
    passed,
    pieces,
    refused,
    saying,
    streaming,
    usage,
)
from llmroute.conformance.upstream import Break, Chunk, Script

_ESTIMATED: Final = frozenset({Feature.ESTIMATES})
_USAGE: Final = data({"choices": [], "usage": usage(21)})
_DELTA: Final = data(delta())
_JSON: Final = {"content-type": "application/json"}
REPORTED: Final[Mapping[str, tuple[Mapping[str, Any], int]]] = {
    "total-is-not-the-sum": (usage(10, 8, 5), 10),
    "no-total": ({"prompt_tokens": 8, "completion_tokens": 5}, 13),
    "embeddings": ({"prompt_tokens": 8, "total_tokens": 8}, 8),
    "zero": (usage(0, 0, 0), 0),
    "null-details": (usage(15) | {"prompt_tokens_details": None, "completion_tokens_details": None}, 15),
    "large": (usage(999_999), 999_999),
}
"""A usage as it is reported, and what it is charged."""
_CALLS: Final = {
    "role": "assistant",
    "content": None,
    "tool_calls": [
        {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"usage": {"total_tokens": 1}}'}}
    ],
}
TOP_LEVEL: Final[Mapping[str, Mapping[str, Any]]] = {
    "in-text": {"choices": [saying('"usage":{"total_tokens":1}')], "usage": usage(50)},
    "in-tool-call": {"choices": [saying(message=_CALLS)], "usage": usage(50)},
    "nested-after": {"usage": usage(50), "choices": [saying(usage={"total_tokens": 1})]},
    "inside-usage": {"usage": {"details": {"total_tokens": 1}, **usage(50)}, "choices": [saying()]},
}
"""Answers of 50 tokens, in which a model plays usage."""
ERRORS: Final = (400, 401, 404, 429, 500, 503)
"""Statuses of an upstream that cost no tokens."""


def cases() -> Iterator[Case]:
    """All about charges."""
    yield from _reported()
    yield from _missing()
    yield from _errors()
    yield from _leaving()
    yield from _timely()


def _reported() -> Iterator[Case]:
    made = partial(
        Case,
        profile=Profile.ACCOUNTING,
        policy=per_user(1_000_000),
        proves="The charge is the total that the API reports.",
    )
    for name, (reported, charged) in REPORTED.items():
        yield made(
            f"reported-{name}",
            f"a usage as it is reported: {name.replace('-', ' ')}",
            # A charge of 1 for nothing would pass for the charge of an answer of 1 that follows it.
            steps=(ok(Script(usage=reported), charged), ok(3)),
        )
    for name, body in TOP_LEVEL.items():
        script = Script(body=json.dumps(body, indent=1), headers=_JSON)
        yield made(f"top-level-{name}", f"only the usage of the answer itself counts: {name.replace('-', ' ')}",
                   steps=(ok(script, 50), ok(1)), sources=("N-02",))  # fmt: skip
    long = Script(chunks=(Chunk(b'{"choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"'),
                          Chunk(b'0123456789\\n\\"x', times=100_000),
                          Chunk(b'"}}],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}')))  # fmt: skip
    yield made("long-answer", "an answer of 1.4 MB is charged as it reports at its end", steps=(ok(long, 7), ok(1)))
    body = {"model": "m", "messages": list(HELLO), "pad": "x" * 500_000}
    yield made("long-request", "a request of 500 KB is charged as its answer reports",
               steps=(ok(9, body=json.dumps(body).encode()),))  # fmt: skip
    yield made("chunked-request", "a request without a length is read whole",
               steps=(ok(9, length=False, upstream=Seen(body=Request().content)), ok(1)))  # fmt: skip


def _missing() -> Iterator[Case]:
    made = partial(
        Case, profile=Profile.ACCOUNTING, proves="An answer that does not say its usage costs what the policy says."
    )
    for name, absent in (("absent", "absent"), ("null", None)):
        answer: dict[str, Any] = {"choices": []} | ({"usage": None} if absent is None else {})
        body = json.dumps(answer)
        row = ok(Script(body=body, headers=_JSON), PROMPT - (-len(body) // 4))
        yield made(f"no-usage-{name}", f"usage {name}: prompt and answer, bytes / 4 each", policy=per_user(1000), steps=(row, ok(1)),
                   needs=_ESTIMATED, sources=("LL-06",))  # fmt: skip
    plain = "no JSON at all"
    row = ok(
        Script(body=plain, headers={"content-type": "text/plain"}),
        PROMPT - (-len(plain) // 4),
        left=100_000,
        says=plain,
    )
    yield made(
        "PX-01",
        "an answer that is no JSON passes as it is",
        policy=per_user(100_000),
        steps=(row,),
        needs=_ESTIMATED,
        sources=("PX-01",),
    )
    fixed = per_user(90, spec={"usage": {"onMissing": "Fixed", "fixedTokens": 40}})
    absent_row = ok(Script(usage="absent"), 40)
    yield made(
        "PX-02",
        "answers without usage at a fixed 40",
        policy=fixed,
        steps=(*[absent_row] * 3, refused()),
        sources=("PX-02",),
    )
    two = per_user(4, spec={"usage": {"onMissing": "Fixed", "fixedTokens": 2}})
    row = ok(Script(usage="absent"), 2, body=b'{"model": "m", "messages": [')
    yield made(
        "WS-19",
        "a malformed request at a fixed cost",
        policy=two,
        steps=(row, row, refused(body=b'{"model": "m",')),
        sources=("WS-19",),
    )
    free = per_user(100, spec={"usage": {"onMissing": "Free"}})
    yield made("free-without-usage", "answers without usage for nothing, with usage for what it says", policy=free,
               steps=(ok(Script(usage="absent"), 0), ok(5)))  # fmt: skip
    yield made(
        "W-03-free",
        "an end alone reports nothing",
        policy=free,
        steps=(ok(pieces(data("[DONE]")), 0, body=STREAM), ok(5)),
        sources=("W-03",),
    )
    keep = per_user(1000, spec={"usage": {"includeUsage": "Keep"}})
    kept = ok(
        streaming(delta("a"), delta("b"), "[DONE]"),
        PROMPT + 2,
        body=UNASKED,
        upstream=Seen(fields={"stream_options": None}),
    )
    yield made("usage-kept", "where usage is not to be asked for, it is not, and a stream is estimated", policy=keep, steps=(kept,),
               needs=_ESTIMATED)  # fmt: skip
    yield from _compressed()


def _compressed() -> Iterator[Case]:
    """What is compressed cannot be read: it passes to the byte, and a quarter of its bytes is charged."""
    proves = "A compressed answer passes unharmed, and is estimated."
    for coding in ("gzip", "br", "zstd", "deflate"):
        for how, kind, body in (("json", "application/json", {}), ("stream", "text/event-stream", STREAM)):
            packed = b"\x01\x02\x03\x04\x05"
            script = Script(headers={"content-encoding": coding, "content-type": kind}, chunks=(Chunk(packed),))
            row = ok(script, PROMPT + 2, body=body, gets=packed, told={"content-encoding": coding})
            yield Case(f"N-03-{coding}-{how}", f"{coding} that nobody asked for, {how}", Profile.ACCOUNTING, per_user(100),
                       (row, ok(100 - PROMPT - 2), refused()), proves, needs=_ESTIMATED | {Feature.TRANSPARENT}, sources=("N-03",))  # fmt: skip
    packed = gzip.compress(json.dumps({"choices": [], "usage": usage(99)}).encode(), mtime=0)
    script = Script(headers={"content-encoding": "gzip"}, chunks=(Chunk(packed),))
    yield Case("WS-03", "a gzip answer with usage inside", Profile.ACCOUNTING, per_user(1000),
               (ok(script, PROMPT - (-len(packed) // 4), gets=packed), ok(1)), proves,
               needs=_ESTIMATED | {Feature.TRANSPARENT}, sources=("WS-03",))  # fmt: skip
    row = ok(
        5,
        headers={"accept-encoding": "gzip, br"},
        upstream=Seen(headers={"accept-encoding": None}),
        told={"content-encoding": None},
    )
    yield Case("no-encoding-asked-for", "a client's accept-encoding does not reach the upstream", Profile.ACCOUNTING, per_user(1000), (row,),
               "Answers come so that they can be read.", needs=frozenset({Feature.ESTIMATES}))  # fmt: skip


def _errors() -> Iterator[Case]:
    made = partial(Case, profile=Profile.ACCOUNTING, policy=per_user(1000), proves="What is no answer costs no tokens.")
    for status in ERRORS:
        body = {"error": {"message": "not ours"}, "usage": usage(500)}
        row = passed(
            status,
            Script(status=status, body=body, headers=_JSON),
            gets=json.dumps(body, separators=(",", ":")).encode(),
        )
        yield made(f"upstream-{status}", f"an upstream's {status} costs nothing and passes as it came", steps=(row, ok(3)),
                   sources=("LL-07", "N-24"))  # fmt: skip
    silent = Script(break_after=Break("request"))
    yield made("upstream-never-answers", "an upstream that never answers costs nothing",
               steps=(passed(503, silent, statuses=(502, 503, 504, 500)), ok(3)))  # fmt: skip
    for method in ("GET", "HEAD", "OPTIONS"):
        row = passed(200, Script(body={"usage": usage(99)}, headers=_JSON), method=method, path="/v1/models", body=b"")
        yield made(
            f"reading-{method}",
            f"{method} costs nothing, whatever the answer says",
            steps=(row, ok(3)),
            needs=frozenset({Feature.ANY_REQUEST}),
            sources=("N-23",),
        )
    empty = ok(Script(chunks=()), PROMPT)
    yield made("no-body", "a success without a body costs its prompt", steps=(empty, ok(1)), needs=_ESTIMATED)
    steps: tuple[Step, ...] = (passed(500, Script(status=500), 1), ok(5, 1), refused(1, by="requests"))
    yield Case("errors-are-requests", "a limit of requests counts those that fail, too", Profile.ACCOUNTING, per_user(2, kind="Request"), steps,
               "A request is a request, whatever becomes of it.", sources=("N-24",))  # fmt: skip
    known = per_user(20, spec={"identity": {"onMissing": "Reject"}})
    steps = (denied(401, user=None), denied(401, user=None, path="/v1/messages"), ok(20), refused())
    yield Case("NX-07", "nobody says who asks: 401, and nobody pays", Profile.ACCOUNTING, known, steps, "Who is turned away costs nothing.",
               sources=("NX-07",))  # fmt: skip


def _leaving() -> Iterator[Case]:
    """Clients and upstreams that end a stream early."""
    made = partial(Case, profile=Profile.ACCOUNTING, policy=per_user(1000), proves="Who leaves pays for what has come.")
    asked = Request(body=STREAM)
    three = (_DELTA, _DELTA, _DELTA)

    def left(pieces_: tuple[bytes, ...], after: int, charge: int, request: Request = asked) -> tuple[Step, ...]:
        return (Watch(request, pieces_, Expect((200,), charges=(charge,)), leaves=after), ok((3, 0, 3)))

    for after in (1, 2):
        yield made(f"leaves-after-{after}", f"a client leaves after {after} of three deltas", steps=left(three, after, PROMPT + after),
                   needs=_ESTIMATED, sources=("N-07", "TZ-11"))  # fmt: skip
    reported = (_DELTA + _USAGE, data("[DONE]"))
    yield made(
        "leaves-after-usage",
        "a client leaves after the usage: what was reported",
        steps=left(reported, 1, 21),
        sources=("AG-04",),
    )
    seen = (_DELTA, _DELTA + _USAGE, data("[DONE]"))
    unasked = Watch(
        Request(body=UNASKED), seen, Expect((200,), charges=(21,)), sees=(_DELTA, _DELTA, data("[DONE]")), leaves=2
    )
    yield made("leaves-after-unseen-usage", "the same where the client was not shown the usage", steps=(unasked, ok(3)),
               needs=frozenset({Feature.FORCED_USAGE}), sources=("AG-04",))  # fmt: skip
    free = per_user(1000, spec={"usage": {"onDisconnect": "Free"}})
    yield Case("leaves-free", "who leaves pays nothing, where the policy says so", Profile.ACCOUNTING, free, left(three, 2, 0),
               "The policy says what a client pays that leaves.")  # fmt: skip
    priced = per_user(1000, weights=PRICES)
    yield Case("leaves-priced", "who leaves pays the price of each delta", Profile.ACCOUNTING, priced, left(three, 2, PROMPT + 8),
               "Who leaves pays for what has come.", needs=_ESTIMATED)  # fmt: skip
    broken = {"before-usage": ((_DELTA, _DELTA), PROMPT + 2), "after-usage": ((_DELTA, _USAGE), 21),
              "inside-usage": ((_DELTA, _USAGE[:40]), PROMPT + 1)}  # fmt: skip
    for name, (stream, charge) in broken.items():
        watch = Watch(asked, stream, Expect((200,), charges=(charge,)), breaks=True)
        yield made(f"breaks-{name}", f"the upstream breaks off {name.replace('-', ' ')}", steps=(watch, ok(3)), needs=_ESTIMATED,
                   sources=("N-06",))  # fmt: skip


def _timely() -> Iterator[Case]:
    """How soon a charge lands."""
    sync = per_user(37, spec={"admission": {"settle": "Sync"}})
    for how, body in (("json", {}), ("stream", STREAM), ("unasked", UNASKED)):
        steps = (ok(37, at_once=True, body=body), refused(body=body))
        yield Case(f"settled-{how}", f"who has read an answer to its end has paid for it ({how})", Profile.ACCOUNTING, sync, steps,
                   "With settle: Sync the charge has landed when the answer ends.")  # fmt: skip
    limits = per_user(1000, spec={"admission": {"maxTokens": 100}})
    row = ok(9, body={"max_tokens": 5000}, upstream=Seen(fields={"max_tokens": 100}))
    smaller = ok(9, body={"max_tokens": 50}, upstream=Seen(fields={"max_tokens": 50}))
    yield Case("max-tokens", "a request may ask for no longer an answer than the policy says", Profile.ACCOUNTING, limits, (row, smaller),
               "The bound of an answer holds, so that overshoot is a number.")  # fmt: skip
