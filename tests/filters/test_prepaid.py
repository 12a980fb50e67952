"""``mode: PrepaidPrompt``: the filter makes the check, books the prompt, and says what is left to pay."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmroute import names
from tests.filters.prepaying import PREPAY, REQUESTS, WEIGHTED, Service, ask, prepaying
from tests.filters.proxy import CONTEXT, SSE_ANSWER, Engine, Stream
from tests.filters.settling import ALL, MINI, USER, answer, event

CHECK = {USER: 0, ALL: 0, REQUESTS: 1, WEIGHTED: 0}
PROMPT = {USER: 100, ALL: 100, WEIGHTED: 50}


def told(stream: Stream, *keys: str) -> list[Any]:
    """What the metadata says."""
    return [stream.metadata.get(key) for key in keys]


def test_one_check_and_one_booking(engine: Engine) -> None:
    """The check costs what the proxy's would; the prompt is booked by each limit's measure. Then the header is set."""
    service = Service()
    stream = prepaying(engine, service)
    assert ask(stream).header(names.PREPAID_HEADER) == "yes"
    assert service.calls == [CHECK, PROMPT]
    assert told(stream, "paid_1", "paid_2", "paid_3", "paid_5") == [100, 100, None, 50]
    assert stream.logs == []


def test_the_rest_is_due(engine: Engine) -> None:
    """Piece by piece, never less than nothing, by each limit's measure; and the limit is told of that has least left."""
    stream = prepaying(engine, Service(counters={USER: 600, ALL: 20, REQUESTS: 0, WEIGHTED: 0}))
    ask(stream)
    report = {"prompt_tokens": 90, "completion_tokens": 60, "total_tokens": 150}
    chunks = [event(), event(choices=[{"delta": {}}], usage=report)]
    message = stream.answer(chunks, SSE_ANSWER, watch=True)
    dues = [[seen.get(f"due_{i}") for i in (1, 2, 3, 5)] for seen in message.seen]
    assert dues == [[1, 0, 1, 2], [50, 0, 60, 115]]
    assert message.header("x-ratelimit-limit-requests") == "3"
    assert message.header("x-ratelimit-remaining-requests") == "2"
    assert message.header("x-ratelimit-reset-requests") == "17"


def test_a_limit_for_another_model_is_not_asked(engine: Engine) -> None:
    """And one that applies is; of an answer's tokens nothing is booked before."""
    service = Service()
    ask(prepaying(engine, service), model="mini")
    assert service.calls == [CHECK | {MINI: 0}, PROMPT]


@pytest.mark.parametrize(
    ("key", "used", "limit", "kind", "words"),
    [
        (USER, 1000, "1000", "tokens", "gpt on tokens per minute: limit 1000, used up"),
        (ALL, 500, "500", "tokens", "gpt on prompt tokens per minute: limit 500, used up"),
        (REQUESTS, 3, "3", "requests", "gpt on requests per minute: limit 3, used up"),
    ],
)
def test_a_refusal_is_the_proxys(engine: Engine, key: Any, used: int, limit: str, kind: str, words: str) -> None:
    """Its headers and its body; nothing is booked, and of requests one counts."""
    service = Service(counters={USER: 0, ALL: 499, REQUESTS: 2, WEIGHTED: 0} | {key: used})
    stream = prepaying(engine, service)
    ask(stream)
    assert stream.response is not None
    headers, body = stream.response
    assert service.calls == [CHECK]
    assert headers == {
        ":status": "429",
        "content-type": "application/json",
        "retry-after": "17",
        "retry-after-ms": "17000",
        f"x-ratelimit-limit-{kind}": limit,
        f"x-ratelimit-remaining-{kind}": "0",
        f"x-ratelimit-reset-{kind}": "17",
    }
    message = f"Rate limit reached for {words}. Please try again in 17s."
    error = {"message": message, "type": kind, "param": None, "code": "rate_limit_exceeded"}
    assert json.loads(body) == {"error": error}


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("/v1/messages", {"type", "error"}),
        ("/v1beta/models/gemini-2.0-flash:generateContent", {"error"}),
    ],
)
def test_other_apis_are_refused_in_their_shape(engine: Engine, path: str, shape: set[str]) -> None:
    """As by the proxy."""
    stream = prepaying(engine, Service(counters={USER: 1000}))
    ask(stream, path=path)
    assert stream.response is not None
    assert set(json.loads(stream.response[1])) == shape


def test_without_an_answer_the_proxy_checks(engine: Engine) -> None:
    """The header is missing, whatever the client said; nothing is paid, so all is due."""
    for service in (Service(silent=frozenset({0})), None):
        stream = prepaying(engine, service)
        assert ask(stream, (names.PREPAID_HEADER, "yes")).all(names.PREPAID_HEADER) == []
        stream.answer([answer()])
        assert told(stream, "paid_1", "due_1", "told_of") == [None, 37, None]


def test_a_booking_without_an_answer_is_not_paid(engine: Engine) -> None:
    """The request has been checked and goes on; better to pay a prompt twice than not at all."""
    service = Service(silent=frozenset({1}))
    stream = prepaying(engine, service)
    assert ask(stream).header(names.PREPAID_HEADER) == "yes"
    stream.answer([answer()])
    assert told(stream, "paid_1", "due_1") == [None, 37]


def test_limits_that_the_service_does_not_know_are_not_paid(engine: Engine) -> None:
    """It says nothing of them; the others hold."""
    service = Service(counters={USER: 0})
    stream = prepaying(engine, service)
    ask(stream)
    assert service.calls == [CHECK, {USER: 100}]
    nobody = Service(counters={})
    assert ask(prepaying(engine, nobody)).header(names.PREPAID_HEADER) == "yes"
    assert nobody.calls == [CHECK]


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_what_is_not_read_is_the_proxys(engine: Engine, method: str) -> None:
    """It costs no tokens, so nothing is booked; a client's header goes all the same."""
    service = Service()
    stream = prepaying(engine, service)
    sent = stream.request(None, [(names.PREPAID_HEADER, "yes")], method=method)
    assert (sent.all(names.PREPAID_HEADER), service.calls) == ([], [])


def test_counting_tokens_costs_nothing(engine: Engine) -> None:
    """It is checked, and no prompt is booked."""
    service = Service()
    ask(prepaying(engine, service), path="/v1/messages/count_tokens")
    assert service.calls == [CHECK]


def test_an_upstream_that_looks_like_the_proxy(engine: Engine) -> None:
    """Its bare 429 and 503 stay: this request was checked by the filter."""
    for status in ("429", "503"):
        stream = prepaying(engine, Service(counters={USER: 999}))
        ask(stream)
        message = stream.answer(None, [(":status", status)])
        assert (message.body, message.header("retry-after")) == (b"", None)


def test_without_the_context_nobody_is_asked(engine: Engine) -> None:
    """PostPaid: no call, no header."""
    stream = engine.stream()
    assert ask(stream).all(names.PREPAID_HEADER) == []
    assert stream.logs == []


@pytest.mark.parametrize("broken", [{}, {"limits": "many"}, {"limits": [{}]}, {"limits": [{"match": 1}]}, "word"])
def test_nonsense_in_the_context_leaves_the_check_to_the_proxy(engine: Engine, broken: Any) -> None:
    """A fault is counted at most."""
    assert isinstance(CONTEXT, dict)
    assert isinstance(PREPAY, dict)
    made = {**PREPAY, **broken} if isinstance(broken, dict) and broken else broken
    stream = engine.stream({**CONTEXT, "prepay": made})
    stream.serve(Service())
    assert ask(stream).all(names.PREPAID_HEADER) == []
    assert stream.answer([answer()]).body == answer()
