"""Streamed answers: charged exactly, not held back, and also when the client leaves."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from e2e.client import MODEL, Client, assert_refused, usage
from e2e.conftest import Serve
from llmroute import names
from llmroute.conformance.cases.streaming import OPTIONS
from llmroute.conformance.upstream import Break, Chunk, Script
from tests.policies import header, limit, route, rule, text

POLICY = text(route(rule(limit(1000, unit="Day"), headers=[header(names.USER_HEADER, "Distinct")])))
ASKED = {"stream": True, "stream_options": {"include_usage": True}}


@pytest.fixture
def client(serve: Serve) -> Client:
    """A fresh user of 1000 tokens a day."""
    return serve(POLICY)


def events(body: bytes) -> list[Any]:
    """The data of each event; ``[DONE]`` as text."""
    data = [e.removeprefix("data: ") for e in body.decode().split("\n\n") if e]
    return [json.loads(d) if d.startswith("{") else d for d in data]


def chunk(delta: str | None = "x", **more: Any) -> bytes:
    """One event of a stream."""
    choices = [] if delta is None else [{"index": 0, "delta": {"content": delta}}]
    return b"data: " + json.dumps({"object": "chat.completion.chunk", "choices": choices} | more).encode() + b"\n\n"


def test_a_client_that_asked_for_usage_sees_all_of_it(client: Client) -> None:
    """``usage: null`` in the chunks, one last chunk with the usage; charged as reported."""
    answer = client.chat(45, body=ASKED)
    *_, last, done = events(answer.body)
    assert (last["choices"], last["usage"]["total_tokens"], done) == ([], 45, "[DONE]")
    assert client.settled(45) == 45


def test_a_client_that_did_not_ask_sees_the_stream_it_would_have_seen(client: Client) -> None:
    """The usage is asked for on its behalf, charged, and taken out again: the same bytes as without us."""
    answer = client.chat(45, body={"stream": True})
    assert answer.served
    assert json.loads(answer.served.body)["stream_options"] == {"include_usage": True}
    assert not any(isinstance(e, dict) and "usage" in e for e in events(answer.body))
    assert events(answer.body)[-1] == "[DONE]"
    assert client.settled(45) == 45
    assert len(events(answer.body)) == len(events(client.chat(1, body=ASKED).body)) - 1
    assert client.settled(46) == 46


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_usage_is_asked_for_whatever_the_options_were(client: Client, options: dict[str, Any] | None) -> None:
    """The rest of the options stays."""
    answer = client.chat(45, body={"stream": True, "stream_options": options})
    assert answer.served
    assert json.loads(answer.served.body)["stream_options"] == (options or {}) | {"include_usage": True}
    assert client.settled(45) == 45


def test_usage_in_the_finish_chunk(client: Client) -> None:
    """Some servers put it there: 10/8/18 (FX-01)."""
    stream = (chunk(), chunk("", usage=usage(18, 10, 8)), b"data: [DONE]\n\n")
    script = Script(headers={"content-type": "text/event-stream"}, chunks=tuple(Chunk(c) for c in stream))
    answer = client.chat(script=script, body={"stream": True})
    assert answer.body == b"".join(stream)
    assert client.settled(18) == 18


def test_cut_at_every_event_boundary_and_inside(client: Client) -> None:
    """Usage split over chunks that the proxy sees apart is still exact."""
    whole = chunk() + chunk(None, usage=usage(33)) + b"data: [DONE]\n\n"
    cuts = [5, len(chunk()), len(chunk()) + 40, len(whole) - 20]
    parts = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    chunks = tuple(Chunk(p, delay_ms=20) for p in parts)
    script = Script(headers={"content-type": "text/event-stream"}, chunks=chunks)
    answer = client.chat(script=script, body=ASKED)
    assert answer.body == whole
    assert client.settled(33) == 33


def test_the_first_byte_is_not_held_back(client: Client) -> None:
    """The first delta is here while the upstream waits before the second."""
    chunks = (
        Chunk(chunk("first")),
        Chunk(chunk(None, usage=usage(7)) + b"data: [DONE]\n\n", hold=f"first-{client.user}"),
    )
    script = Script(headers={"content-type": "text/event-stream"}, chunks=chunks)
    with client.stream({}, script=script) as response:
        stream = response.iter_raw()
        assert next(stream) == chunk("first")
        client.stack.upstream.release(f"first-{client.user}")
        assert b"".join(stream) == b"data: [DONE]\n\n"
    assert client.settled(7) == 7


def test_a_client_that_leaves_pays_for_what_it_saw(client: Client) -> None:
    """Two deltas seen, no usage yet: the prompt's estimate and one token per delta."""
    hold = f"leave-{client.user}"
    chunks = (Chunk(chunk("one")), Chunk(chunk("two"), hold=f"{hold}-1"), Chunk(chunk("three"), hold=hold))
    script = Script(headers={"content-type": "text/event-stream"}, chunks=chunks)
    messages = [{"role": "user", "content": "12345678"}]
    prompt = -(-len(json.dumps(messages)) // 4)
    with client.stream({"messages": messages}, script=script) as response:
        stream = response.iter_raw()
        assert next(stream) == chunk("one")
        client.stack.upstream.release(f"{hold}-1")
        assert next(stream) == chunk("two")
    assert client.settled(prompt + 2) == prompt + 2
    client.stack.upstream.release(hold)


def test_a_client_that_leaves_after_the_usage_pays_what_was_reported(client: Client) -> None:
    """Only ``[DONE]`` was still to come."""
    hold = f"done-{client.user}"
    chunks = (Chunk(chunk("one") + chunk("", usage=usage(21))), Chunk(b"data: [DONE]\n\n", hold=hold))
    script = Script(headers={"content-type": "text/event-stream"}, chunks=chunks)
    with client.stream({}, script=script) as response:
        assert next(response.iter_raw()).endswith(b"}\n\n")
    assert client.settled(21) == 21
    client.stack.upstream.release(hold)


def test_an_upstream_that_breaks_off_is_charged_for_what_came(client: Client) -> None:
    """Reset after two deltas: the estimate so far."""
    script = Script(
        headers={"content-type": "text/event-stream"},
        chunks=(Chunk(chunk("one")), Chunk(chunk("two"), delay_ms=50)),
        break_after=Break("chunks", 2),
    )
    messages = [{"role": "user", "content": "hello"}]
    prompt = -(-len(json.dumps(messages)) // 4)
    with client.stream({"messages": messages}, script=script) as response, pytest.raises(httpx.RemoteProtocolError):
        list(response.iter_raw())
    assert client.settled(prompt + 2) == prompt + 2


def test_no_usage_at_all_is_estimated(client: Client) -> None:
    """A stream without usage, from a server that ignores the option: prompt bytes / 4 and a token per delta (FX-04)."""
    stream = [chunk("one"), chunk("two"), chunk("three"), b"data: [DONE]\n\n"]
    script = Script(headers={"content-type": "text/event-stream"}, chunks=tuple(Chunk(c) for c in stream))
    answer = client.chat(script=script, body={"stream": True})
    assert answer.body == b"".join(stream)
    prompt = -(-len(json.dumps([{"role": "user", "content": "hello"}])) // 4)
    assert client.settled(prompt + 3) == prompt + 3


def test_a_refused_stream_is_plain_json(client: Client) -> None:
    """A streaming client gets the same 429, not an event stream."""
    assert client.chat(1000, body=ASKED).status == 200
    assert client.settled(1000) == 1000
    refused = client.chat(1000, body=ASKED)
    assert_refused(refused)
    assert refused.headers["content-type"] == "application/json"
    assert client.settled(1000) == 1000
    assert client.stack.used(0, client.user) == 1000
    assert MODEL in refused.json()["error"]["message"]
