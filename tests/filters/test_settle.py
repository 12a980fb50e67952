"""``settle: Sync``: the filter charges an answer before it ends, and the proxy charges what the filter has not."""

from __future__ import annotations

import json

import pytest

from llmroute.render.lua import JSON
from tests.filters.proxy import SSE_ANSWER, Engine, Headers
from tests.filters.settling import (
    ALL,
    DONE,
    MINI,
    SETTLE,
    USAGE,
    USER,
    Key,
    Service,
    answer,
    asked,
    dues,
    event,
    sized,
)


def test_a_stream_is_charged_before_its_last_event(engine: Engine) -> None:
    """Earlier pieces go on and what they cost is due; the piece with ``[DONE]`` waits for the one charge."""
    service = Service()
    stream = asked(engine, service, stream=True)
    chunks = [event(), event(choices=[], usage=USAGE), DONE]
    seen = stream.answer(chunks, SSE_ANSWER, watch=True).seen
    assert [[metadata.get(key, 0) for key in ("due_1", "due_2")] for metadata in seen][1:] == [[37, 30], [0, 0]]
    assert seen[0]["due_1"] == seen[0]["total_tokens"] > 0
    assert service.charged == [{USER: 37, ALL: 30}]
    assert [len(keys) for keys in service.looked] == [2, 2], "one look before, one after"
    assert stream.metadata["total_tokens"] == 37, "the numbers stay"
    assert stream.logs == []


@pytest.mark.parametrize(
    "last",
    [
        b'data: {"type":"message_stop"}\n\n',
        b'data: {"type":"message-end"}\n\n',
        b'data: {"type":"response.completed","response":{"usage":{"input_tokens":30,"output_tokens":7}}}\n\n',
        b'data: {"type":"response.incomplete","response":{}}\n\n',
        b'{"model":"m","done":true,"prompt_eval_count":30,"eval_count":7}\n',
    ],
    ids=["anthropic", "cohere", "responses", "responses-cut", "ollama"],
)
def test_the_last_event_of_every_api(engine: Engine, last: bytes) -> None:
    """After it clients do not read on, so it waits, whatever comes after it."""
    service = Service()
    stream = asked(engine, service, stream=True)
    kind = SSE_ANSWER if last.startswith(b"data") else [(":status", "200"), ("content-type", "application/x-ndjson")]
    lines = b'data: {"usage":{"prompt_tokens":30,"completion_tokens":7,"total_tokens":37}}\n\n'
    seen = stream.answer([lines, last, b""] if kind is SSE_ANSWER else [last, b""], kind, watch=True).seen
    assert (seen[-2]["due_1"], seen[-2]["total_tokens"]) == (0, 37)
    assert service.charged == [{USER: 37, ALL: 30}]


def test_json_of_a_known_length_is_charged_before_its_last_byte(engine: Engine) -> None:
    """The client knows the end when it has all bytes, not when the stream ends."""
    service = Service()
    stream = asked(engine, service)
    body = answer()
    message = stream.answer([body[:20], body[20:], b""], sized(body), watch=True)
    assert [metadata.get("due_1", 0) > 0 for metadata in message.seen] == [True, False, False]
    assert service.charged == [{USER: 37, ALL: 30}]
    assert (message.body, message.header("content-length")) == (body, str(len(body)))


@pytest.mark.parametrize("trailers", [False, True])
def test_json_of_an_unknown_length_is_charged_before_the_end_of_the_stream(engine: Engine, trailers: bool) -> None:
    """Usage was read before, but the end is what a client waits for."""
    service = Service()
    stream = asked(engine, service)
    seen = stream.answer([answer(), b""], trailers=trailers, watch=True).seen
    assert seen[0]["due_1"] == 37
    assert dues(stream)[:2] == (0, 0)
    assert service.charged == [{USER: 37, ALL: 30}]


def test_a_long_answer_does_not_say_how_long_it_is(engine: Engine) -> None:
    """Its last piece may be too long for Envoy to hold; so the end of the stream is its end."""
    service = Service()
    stream = asked(engine, service)
    body = answer(padding="x" * 20_000)
    message = stream.answer([body, b""], sized(body), watch=True)
    assert message.header("content-length") is None
    assert (message.seen[0]["due_1"], message.seen[1]["due_1"]) == (37, 0)
    assert message.body == body


def test_a_long_last_piece_is_held_by_its_tail(engine: Engine) -> None:
    """A piece of more than 16 KiB goes on without what makes ``[DONE]`` complete; that comes with the end."""
    service = Service()
    stream = asked(engine, service, stream=True)
    burst = event() * 400 + event(choices=[{"delta": {}}], usage=USAGE) + DONE
    assert len(burst) > 16384
    message = stream.answer([burst, b""], SSE_ANSWER, watch=True)
    assert message.body == burst
    assert DONE not in message.chunks[0]
    assert (message.seen[0]["due_1"], message.seen[1]["due_1"]) == (37, 0)
    alone = asked(engine, Service(), stream=True)
    assert alone.answer([burst], SSE_ANSWER).body == burst, "the piece that ends the stream is whole"


def test_a_rewritten_stream_is_whole(engine: Engine) -> None:
    """What the client did not ask for is out, everything else is in, also what came in the piece after ``[DONE]``."""
    service = Service()
    stream = asked(engine, service, stream=True)
    chunks = [event() + b"data: {", b'"choices":[],"usage":' + json.dumps(USAGE).encode() + b"}\n\n", DONE + b": more"]
    assert stream.answer(chunks, SSE_ANSWER).body == event() + DONE + b": more"
    assert service.charged == [{USER: 37, ALL: 30}]


def test_only_limits_that_apply_are_charged(engine: Engine) -> None:
    """One for another model is not, though its number stands: the proxy's own selectors pass it over."""
    service = Service()
    asked(engine, service, model="mini").answer([answer()])
    assert service.charged == [{USER: 37, ALL: 30, MINI: 7}]
    other = Service()
    stream = asked(engine, other, model="maxi")
    stream.answer([answer()])
    assert other.charged == [{USER: 37, ALL: 30}]
    assert dues(stream) == (0, 0, 7)


def test_what_the_service_has_no_limit_for_stays_due(engine: Engine) -> None:
    """The others are charged, each by one of the two alone."""
    service = Service(counters={ALL: 5})
    stream = asked(engine, service)
    stream.answer([answer()])
    assert service.charged == [{ALL: 30}]
    assert dues(stream)[:2] == (37, 0)


@pytest.mark.parametrize(
    ("usage", "charged"),
    [
        ({"onMissing": "Fixed", "fixedTokens": 500}, [{USER: 500, ALL: 500}]),
        ({"onMissing": "Free"}, []),
    ],
)
def test_an_answer_without_usage(engine: Engine, usage: dict[str, JSON], charged: list[dict[Key, int]]) -> None:
    """What the policy says of it is charged, in time as well."""
    service = Service()
    stream = asked(engine, service, context={"usage": usage})
    stream.answer([answer(usage=None)])
    assert service.charged == charged
    assert dues(stream)[:2] == (0, 0)


def test_weighted_limits(engine: Engine) -> None:
    """Their sums are charged."""
    cost: JSON = {
        "key": "cost_1", "scale": 10, "prompt": 1, "cachedPrompt": 1, "cacheWrite": 1, "completion": 50, "reasoning": 50,
    }  # fmt: skip
    assert isinstance(SETTLE, dict)
    limits: JSON = [{"due": "due_1", "key": "cost_1", "match": [], "entries": [{"key": "limit", "value": "w"}]}]
    key: Key = (("limit", "w"),)
    service = Service(counters={key: 0})
    asked(engine, service, context={"costs": [cost], "settle": {**SETTLE, "limits": limits}}).answer([answer()])
    assert service.charged == [{key: 38}]


@pytest.mark.parametrize("status", ["400", "429", "500"])
def test_errors_cost_nothing(engine: Engine, status: str) -> None:
    """Nobody is asked."""
    service = Service()
    stream = asked(engine, service)
    headers: Headers = [(":status", status), ("content-type", "application/json"), ("date", "today")]
    stream.answer([answer()], headers)
    assert (service.looked, service.charged) == ([], [])
    assert dues(stream) == (None, None, None)


def test_without_the_context_nobody_is_asked(engine: Engine) -> None:
    """Async: the filter makes no call and keeps no header of the request."""
    stream = engine.stream()
    stream.request(b'{"model":"m"}', [("x-user-id", "ada")])
    stream.answer([answer()])
    assert not [key for key in stream.metadata if key.startswith(("due_", "by_"))]
    assert stream.metadata["total_tokens"] == 37
    assert stream.logs == []
