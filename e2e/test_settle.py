"""``settle: Sync``: who has read an answer to its end has paid for it, and everybody pays once."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import pytest

from e2e.client import Client, usage, wait_for
from e2e.conftest import Serve
from e2e.overtake import DONE, TOKENS, Try, Wire, overtake, wires
from e2e.overtake import request as message
from e2e.stacks.local import LocalStack
from llmroute import names
from llmroute.conformance.upstream import Chunk, Script
from tests.policies import MODEL, USER, header, limit, route, rule, text

TRIES: Final = 1000
FEW: Final = 300
NEAR: Final = ("local", "process", "standalone")
"""Stacks on this machine's loopback; on Kind 3 in 100 get in, or 3 in 1,000, which is too few to rely on."""
EVERY_USER: Final = [header(USER, "Distinct")]
REPORT: Final = {"prompt_tokens": 27, "completion_tokens": 10, "total_tokens": TOKENS}
DELTA: Final = b'data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"0123456789"}}]}\n\n'
LAST: Final = b"data: " + json.dumps({"choices": [], "usage": REPORT}).encode() + b"\n\n"
SSE: Final = {"content-type": "text/event-stream"}


def policy(settle: str = "Sync", quantity: int = TOKENS) -> str:
    """Every user may use so many tokens a day."""
    made = route(rule(limit(quantity, unit="Day"), headers=EVERY_USER))
    made["spec"]["admission"] = {"settle": settle}
    return text(made)


def json_of(size: int, *, sized: bool) -> Script:
    """A JSON answer with so much text, with or without its length."""
    head, tail = b'{"choices":[{"message":{"content":"', b'"}}],"usage":' + json.dumps(REPORT).encode() + b"}"
    length = {"content-length": str(len(head) + size + len(tail))} if sized else {}
    chunks = (Chunk(head), Chunk(b"x", times=size), Chunk(tail))
    return Script(chunks=chunks, headers={"content-type": "application/json"} | length)


def stream_of(size: int, *last: bytes) -> Script:
    """A stream with so much text, and its last pieces."""
    deltas = Chunk(DELTA, times=size // len(DELTA) + 1)
    return Script(chunks=(deltas, *(Chunk(piece) for piece in last)), headers=SSE)


def assert_nobody_overtook(client: Client, tries: list[Try]) -> None:
    """Each first answer came, each second one was refused before the upstream, and each user paid for one."""
    assert Counter((each.first, each.second) for each in tries) == {(200, 429): len(tries)}
    assert [each.user for each in tries if client.stack.upstream.served(each.marks[0]) is None] == []
    assert [each.user for each in tries if client.stack.upstream.served(each.marks[1])] == []
    assert Counter(client.settled(TOKENS, 0, each.user) for each in tries) == {TOKENS: len(tries)}


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
def test_nobody_overtakes_the_charge(serve: Serve, stream: bool) -> None:
    """1,000 users (fewer on the local stack) read the answer that uses up their limit to its end, and ask again at once: all are refused."""
    client = serve(policy())
    tries = FEW if isinstance(client.stack, LocalStack) else TRIES
    assert_nobody_overtook(client, overtake(client.stack.url, tries, stream=stream))


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
def test_the_same_client_overtakes_the_proxy(serve: Serve, request: pytest.FixtureRequest, stream: bool) -> None:
    """So the test above can fail: without Sync some of as many get in. They pay, too."""
    if request.config.getoption("--stack") not in NEAR:
        pytest.skip("missing capability: a gateway without a network between, so near that a charge can be overtaken")
    client = serve(policy("Async"))
    tries = overtake(client.stack.url, FEW if isinstance(client.stack, LocalStack) else TRIES, stream=stream)
    admitted = [each for each in tries if each.second == 200]
    assert admitted
    for each in tries:
        expected = 2 * TOKENS if each in admitted else TOKENS
        assert client.settled(expected, 0, each.user) == expected


SIZES: Final = (1, 16_000, 17_000, 33_000, 200_000, 2_000_000)
"""Around what may be held (16 KiB), what Envoy Gateway's buffers take (32 KiB), and far beyond."""


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "made",
    [
        lambda size: json_of(size, sized=True),
        lambda size: json_of(size, sized=False),
        lambda size: stream_of(size, LAST + DONE),
        lambda size: stream_of(size, LAST, DONE),
    ],
    ids=["json", "json-in-chunks", "stream", "stream-in-pieces"],
)
def test_answers_of_any_length(serve: Serve, made: Callable[[int], Script], size: int) -> None:
    """Whatever it comes in, the answer comes whole, and nobody overtakes it."""
    client, script = serve(policy()), made(size)
    stream = script.headers == SSE
    assert_nobody_overtook(client, overtake(client.stack.url, 20, stream=stream, script=script))
    whole = b"".join(chunk.data * chunk.times for chunk in script.chunks or ()).replace(LAST, b"" if stream else LAST)
    got = client.chat(user="reader", script=script, body={"stream": stream})
    assert (got.status, got.body) == (200, whole)


def test_a_stream_that_goes_on_after_its_end_is_not_held(serve: Serve) -> None:
    """``[DONE]`` reaches the client while the upstream keeps the stream open; the charge is made."""
    client = serve(policy())
    chunks = (Chunk(LAST + DONE), Chunk(b": the end\n\n", hold=client.user))
    with wires(client.stack.url, 1) as (wire,):
        wire.send(message(client.user, stream=True, script=Script(chunks=chunks, headers=SSE)))
        wire.read_to_end()
        assert client.stack.used(0, client.user) == TOKENS
        client.stack.upstream.release(client.user)
        wire.drain()
        assert b": the end" in wire.got
    assert client.settled(TOKENS) == TOKENS


def several() -> str:
    """Limits of every sort, two backends, and one limit that the filter cannot charge."""
    weights = {"prompt": 1, "completion": 3}
    made = route(
        one=[
            rule(limit(1000, unit="Day"), limit(1000, unit="Day") | {"token": "Prompt"}, headers=EVERY_USER),
            rule(limit(1000, unit="Day"), headers=[header(MODEL, "Exact", "gpt-*"), *EVERY_USER]),
            rule(limit(9000, unit="Hour"), headers=[header(MODEL, "Exact", "other"), *EVERY_USER]),
            rule(limit(1000, unit="Day"), limit(9, "Request", "Day"), headers=[header(USER, "RegularExpression", ".*")]),
        ],
        two=[rule(limit(5000, unit="Day"), headers=EVERY_USER)],
    )  # fmt: skip
    shared = {"rules": [rule(limit(9000, unit="Day") | {"weights": weights}, headers=EVERY_USER)]}
    made["spec"] |= {"admission": {"settle": "Sync"}, "trafficPolicy": {"rateLimit": shared}}
    return text(made)


@pytest.mark.usefixtures("matching")
def test_several_limits_at_once(serve: Serve) -> None:
    """When the answer has been read, each that applies has its own kind of charge and no other has any."""
    client = serve(several())
    answer = client.chat(
        user=client.user, model="gpt-*", script=Script(usage=usage(50, 30, 20)), headers={names.BACKEND_HEADER: "one"}
    )
    assert answer.status == 200

    def used() -> list[int]:
        return [client.stack.used(i, *([] if i in {4, 5} else [client.user])) for i in range(8)]

    booked = used()
    assert [booked[i] for i in (0, 1, 2, 3, 5, 6, 7)] == [50, 30, 50, 0, 1, 0, 90]
    assert wait_for(lambda: client.stack.used(4) == 50), "the proxy charges what the filter cannot"
    assert used() == [50, 30, 50, 0, 50, 1, 0, 90]


def leave(wire: Wire, user: str, script: Script, mark: bytes, seconds: float = 0.0) -> None:
    """Ask, read until something has come, wait for a moment at most, and leave."""
    wire.send(message(user, stream=True, script=script))
    wire.read_until(mark)
    time.sleep(seconds)  # when to leave is what the test is about; nothing is awaited
    wire.close()


def test_a_client_that_leaves_before_the_end(serve: Serve) -> None:
    """After the usage, or before it: charged by the proxy, for the usage or the estimate."""
    client = serve(policy())
    chunks = (Chunk(DELTA), Chunk(LAST + DONE, hold=client.user))
    with wires(client.stack.url, 2) as (first, second):
        leave(first, f"{client.user}-1", Script(chunks=chunks, headers=SSE), b"0123456789")
        prompt = -(-len("[]") // 4)
        assert client.settled(prompt + 1, 0, f"{client.user}-1") == prompt + 1
        usage_first = (Chunk(DELTA + LAST.replace(b"[]", b"[{}]")), Chunk(DONE, hold=client.user))
        leave(second, f"{client.user}-2", Script(chunks=usage_first, headers=SSE), b"total_tokens")
        assert client.settled(TOKENS, 0, f"{client.user}-2") == TOKENS


def test_clients_that_leave_while_they_are_charged(serve: Serve) -> None:
    """Around the last event, some before the filter asks, some while it does, some after: all pay once."""
    client = serve(policy())
    chunks = (Chunk(DELTA + LAST.replace(b"[]", b"[{}]")), Chunk(DONE, delay_ms=2))
    users = [f"{client.user}-{i}" for i in range(300)]
    for i, user in enumerate(users):
        with wires(client.stack.url, 1) as (wire,):
            leave(wire, user, Script(chunks=chunks, headers=SSE), b"total_tokens", 0.001 + i % 31 / 10_000)
    assert Counter(client.settled(TOKENS, 0, user) for user in users) == {TOKENS: len(users)}


def test_answers_are_the_same_as_without(serve: Serve) -> None:
    """Headers, bodies and pieces' order: Sync adds nothing that a client sees."""
    seen: list[list[Any]] = []
    for settle in ("Async", "Sync"):
        client = serve(policy(settle, 1000))
        answers = [client.chat(5), client.chat(script=stream_of(500, LAST, DONE), body={"stream": True})]
        assert client.settled(5 + TOKENS) == 5 + TOKENS
        seen.append([(answer.status, answer.body) for answer in answers])
        seen[-1].append([{k for k in answer.headers if k != "date"} for answer in answers])
    assert seen[0] == seen[1]
