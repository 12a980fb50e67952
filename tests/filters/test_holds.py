"""``mode: Reserve``: what a request holds is said before its check, and what of it is due or left while its answer goes on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import pytest

from llmroute import names
from llmroute.render.lua import JSON
from tests.filters.proxy import CONTEXT, JSON_ANSWER, SSE_ANSWER, Engine, Stream
from tests.filters.settling import ALL, DONE, SETTLE, USAGE, USER, Service, answer, event
from tests.filters.test_limits import proxy_headers

MOST: Final = 100
CHAT: Final = "/v1/chat/completions"
MESSAGES: Final = "/v1/messages"
GEMINI: Final = "/v1beta/models/g:generateContent"


def hold(number: int, key: str, prompt: int, completion: int, scale: int = 1) -> dict[str, JSON]:
    """A limit that holds."""
    said = {name: f"{name}_{number}" for name in ("paid", "due", "refund")}
    return {**said, "key": key, "scale": scale, "prompt": prompt, "completion": completion}


TOTAL: Final = hold(1, "total_tokens", 1, 1)
HOLDS: Final = [TOTAL, hold(2, "prompt_tokens", 1, 0), hold(4, "completion_tokens", 0, 1)]


def asked(
    engine: Engine,
    body: bytes | None = b'{"model":"m","messages":"12345678"}',
    holds: list[dict[str, JSON]] | None = None,
    context: Mapping[str, JSON] | None = None,
    **more: Any,
) -> Stream:
    """A request of a route that holds."""
    assert isinstance(CONTEXT, dict)
    made = engine.stream({**CONTEXT, "maxTokens": MOST, "holds": holds or [TOTAL], **(context or {})})
    made.request(body, **more)
    return made


def said(stream: Stream, number: int = 1) -> tuple[Any, ...]:
    """What was paid, what is due beyond it, and what is to be given back."""
    return tuple(stream.metadata.get(f"{name}_{number}") for name in ("paid", "due", "refund"))


def held(engine: Engine, body: str | bytes | None, path: str = CHAT, **more: Any) -> int:
    """What a request holds; until an answer comes all of it is to be given back."""
    stream = asked(engine, body.encode() if isinstance(body, str) else body, path=path, **more)
    paid, due, refund = said(stream)
    assert (due, refund) == (0, paid)
    assert stream.logs == []
    return int(paid)


@pytest.mark.parametrize(
    ("path", "fields", "answers"),
    [
        (CHAT, "", 100),
        (CHAT, ',"max_tokens":7', 7),
        (CHAT, ',"max_completion_tokens":7,"max_tokens":9', 9),
        (CHAT, ',"max_completion_tokens":101,"max_tokens":9', 100),
        (CHAT, ',"max_tokens":5,"max_tokens":8', 8),
        (CHAT, ',"max_tokens":6.5', 7),
        (CHAT, ',"max_tokens":1e1', 10),
        (CHAT, ',"max_tokens":"7"', 100),
        (CHAT, ',"max_tokens":0', 100),
        (CHAT, ',"max_tokens":-1', 100),
        (CHAT, ',"max_output_tokens":7', 100),
        (CHAT, ',"max_tokens":7,"n":3', 21),
        (CHAT, ',"n":3', 99),
        (CHAT, ',"n":"3"', 99),
        (CHAT, ',"n":0', 100),
        (CHAT, ',"n":null', 100),
        (CHAT, ',"n":NaN', 100),
        (CHAT, ',"n":1000', 1000),
        ("/v1/completions", ',"n":2,"best_of":5,"max_tokens":3', 15),
        ("/v1/completions", ',"prompt":["a","b"],"max_tokens":3', 6),
        ("/v1/completions", ',"prompt":[[1],[2]],"n":4,"max_tokens":999', 96),
        ("/v1/responses", ',"max_output_tokens":7', 7),
        ("/v1/responses", ',"max_output_tokens":0', 100),
        (MESSAGES, ',"max_tokens":7,"n":3', 7),
        ("/v2/chat", "", 100),
        (GEMINI, "", 100),
        (GEMINI, ',"generationConfig":{"maxOutputTokens":7}', 7),
        (GEMINI, ',"generationConfig":{"maxOutputTokens":7,"candidateCount":2}', 14),
        (GEMINI, ',"generationConfig":{"maxOutputTokens":7},"generation_config":{"max_output_tokens":9}', 9),
        (GEMINI, ',"generationConfig":{"maxOutputTokens":7},"generation_config":{}', 100),
        (GEMINI, ',"generationConfig":{"maxOutputTokens":7},"generation_config":null', 100),
        (GEMINI, ',"generationConfig":{"maxOutputTokens":0}', 100),
        ("/model/m/converse", ',"inferenceConfig":{"maxTokens":7}', 7),
        ("/api/chat", ',"options":{"num_predict":7}', 7),
        ("/api/chat", ',"options":{"num_predict":-1}', 100),
        ("/some/thing/else", "", 100),
        ("/some/thing/else", ',"max_tokens":7', 100),
        ("/v1/embeddings", ',"max_tokens":7', 0),
        ("/v2/rerank", "", 0),
        ("/v1/messages/count_tokens", "", 0),
        ("/v1beta/models/g:countTokens", "", 0),
        ("/v1/audio/speech", "", 100),
    ],
)
def test_the_longest_answer(engine: Engine, path: str, fields: str, answers: int) -> None:
    """What the client asks for, held to the bound, of all answers together; where nothing known says it, the bound."""
    body = '{"model":"m","messages":"12345678"' + fields + "}"
    assert held(engine, body, path) == 3 + answers


def test_an_answer_without_bound_is_clamped(engine: Engine) -> None:
    """What nobody can pay is refused, and the number stays one that Envoy takes."""
    for count in ("1e9", "1e999", "9" * 400):
        assert held(engine, '{"messages":"1","n":' + count + "}") == names.MAX_CHARGE


@pytest.mark.parametrize(
    ("body", "headers", "expected"),
    [
        (b"x" * 41, [], 11 + MOST),
        (b"", [], MOST),
        (None, [], MOST),
        (b'{"messages":"1234"}', [("content-encoding", "gzip")], 5 + MOST),
        (b"x" * 401, [], 101 + MOST),
    ],
    ids=["no-json", "empty", "none", "compressed", "too-long"],
)
def test_what_is_not_read(engine: Engine, body: bytes | None, headers: list[tuple[str, str]], expected: int) -> None:
    """Its bytes, and the longest answer."""
    assert held(engine, body, headers=headers, context={"bodyLimit": 400}) == expected


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_a_hold_is_never_nothing(engine: Engine, method: str) -> None:
    """Else it would be admitted when all is used. What costs nothing holds 1."""
    assert held(engine, None, "/v1/models", method=method) == 1
    assert said(asked(engine, holds=[hold(1, "cost_1", 0, 0)])) == (1, 0, 1)
    assert said(asked(engine, path="/v1/embeddings", holds=HOLDS), 4) == (1, 0, 1)


def test_each_limit_holds_what_it_counts(engine: Engine) -> None:
    """By its weights, rounded up once."""
    stream = asked(engine, holds=[*HOLDS, hold(7, "cost_1", 125, 6, 100)])
    assert [said(stream, n)[0] for n in (1, 2, 4, 7)] == [3 + 100, 3, 100, -(-(3 * 125 + 600) // 100)]
    assert said(stream, 3) == (None, None, None)


def test_without_holds_nothing_is_said(engine: Engine) -> None:
    """As in every other mode."""
    stream = asked(engine, context={"holds": []})
    stream.answer([answer()])
    assert [key for key in stream.metadata if key.startswith(("paid_", "due_", "refund_"))] == []


@pytest.mark.parametrize(("key", "value"), [("total_tokens", 0), ("model", b"m"), ("prompt_estimate", 3)])
def test_a_fault_leaves_a_hold(engine: Engine, key: str, value: object) -> None:
    """It is set before anything can fail, with the longest answer: a check without a number is passed over."""
    context: JSON = {"maxTokens": MOST, "holds": [TOTAL]}
    stream = engine.stream(context, lambda got, what: got == key.encode() and what == value)
    stream.request(b'{"model":"m","messages":"12345678"}')
    assert stream.metadata["filter_error"] == 1
    paid = 3 + MOST if key == "total_tokens" else MOST
    assert said(stream) == (paid, 0, paid)


def test_json(engine: Engine) -> None:
    """What it took is neither due nor given back."""
    stream = asked(engine, holds=HOLDS)
    seen = stream.answer([answer()[:30], answer()[30:]], watch=True).seen
    assert (seen[0]["due_1"], seen[0]["refund_1"]) == (0, 103 - seen[0]["total_tokens"])
    assert [said(stream, n) for n in (1, 2, 4)] == [(103, 0, 66), (3, 27, 0), (100, 0, 93)]


def test_a_stream_keeps_both_current(engine: Engine) -> None:
    """A client that leaves has paid for what it saw: 3 of the prompt, and a token for each delta."""
    stream = asked(engine, b'{"messages":"12345678","stream":true,"max_tokens":2}')
    usage = event(choices=[], usage=USAGE)
    seen = stream.answer([event(), event(), event(), usage, DONE], SSE_ANSWER, watch=True).seen
    assert [(each["due_1"], each["refund_1"]) for each in seen] == [(0, 1), (0, 0), (1, 0), (32, 0), (32, 0)]


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"onMissing": "Free"}, (103, 0, 103)),
        ({"onMissing": "Fixed", "fixedTokens": 500}, (103, 397, 0)),
        ({"onMissing": "Fixed", "fixedTokens": 3}, (103, 0, 100)),
    ],
)
def test_an_answer_without_usage(engine: Engine, usage: JSON, expected: tuple[int, ...]) -> None:
    """What the policy says of it."""
    stream = asked(engine, context={"usage": usage})
    stream.answer([answer(usage=None)])
    assert said(stream) == expected


def test_who_leaves_for_free_gets_all_back(engine: Engine) -> None:
    """``onDisconnect: Free``: until the answer is whole."""
    stream = asked(engine, b'{"messages":"12345678","stream":true}', context={"usage": {"onDisconnect": "Free"}})
    seen = stream.answer([event(), event(choices=[], usage=USAGE) + DONE, b""], SSE_ANSWER, watch=True).seen
    assert [(each["due_1"], each["refund_1"]) for each in seen][:2] == [(0, 103), (0, 103)]
    assert said(stream) == (103, 0, 66)


@pytest.mark.parametrize("status", ["400", "429", "500", "304"])
def test_errors_give_all_back(engine: Engine, status: str) -> None:
    """They cost nothing."""
    stream = asked(engine)
    stream.answer([answer()], [(":status", status), ("content-type", "application/json"), ("date", "today")])
    assert said(stream) == (103, 0, 103)


def test_a_refusal_says_that_too_little_is_left(engine: Engine) -> None:
    """It need not be used up."""
    limits: JSON = [
        {"reported": 1000, "window": 60, "kind": "tokens", "quantity": 1000, "unit": "minute", "held": True}
    ]
    stream = asked(engine, context={"limits": limits})
    message = stream.answer(None, [(":status", "429"), *proxy_headers("1000, 1000;w=60", 0, 12)])
    text = "Rate limit reached for m on tokens per minute: limit 1000, too little left. Please try again in 12s."
    assert json.loads(message.body)["error"]["message"] == text
    admitted = asked(engine, context={"limits": limits}).answer(
        [b"{}"], [*JSON_ANSWER, *proxy_headers("1000, 1000;w=60", 897, 12)]
    )
    assert admitted.header("x-ratelimit-remaining-tokens") == "897"


SYNC_HOLD: Final = {"paid": "paid_1", "refund": "refund_1"}


@pytest.mark.parametrize(
    ("fields", "expected", "charged"),
    [("", (103, 0, 66), []), (',"max_tokens":2', (5, 0, 0), [{USER: 32}])],
    ids=["within", "beyond"],
)
def test_with_sync(
    engine: Engine, fields: str, expected: tuple[int, ...], charged: list[dict[tuple[tuple[str, str], ...], int]]
) -> None:
    """The filter charges what is due beyond the hold, if anything; the proxy gives back. A shadow holds nothing."""
    assert isinstance(SETTLE, dict)
    assert isinstance(SETTLE["limits"], list)
    first, second = SETTLE["limits"][:2]
    assert isinstance(first, dict)
    settle: dict[str, JSON] = {**SETTLE, "limits": [{**first, **SYNC_HOLD}]}
    service = Service()
    context: dict[str, JSON] = {"maxTokens": MOST, "holds": [TOTAL, hold(3, "prompt_tokens", 1, 0)]}
    stream = engine.stream({**context, "settle": settle})
    stream.serve(service)
    stream.request(b'{"messages":"12345678"' + fields.encode() + b"}", [("x-user-id", "ada")])
    stream.answer([answer()])
    assert (said(stream), service.charged) == (expected, charged)
    assert said(stream, 3) == (3, 27, 0), "what the filter cannot charge the proxy does"
    other = engine.stream({**context, "settle": {**settle, "limits": [second]}})
    other.serve(service)
    other.request(b'{"messages":"12345678"}', [("x-user-id", "ada")])
    other.answer([answer()])
    assert service.charged[-1] == {ALL: 30}, "of a limit that holds nothing all is due"
