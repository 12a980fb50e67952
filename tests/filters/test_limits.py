"""The rate-limit headers of admitted answers, and the refusal."""

from __future__ import annotations

import json

import pytest

from llmroute.render.lua import JSON
from tests.filters.proxy import Engine, Headers, Message, Stream

KINDS = [f"x-ratelimit-{what}-{kind}" for what in ("limit", "remaining", "reset") for kind in ("tokens", "requests")]
RAW = ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"]


def proxy_headers(limit: str, remaining: int, reset: int) -> Headers:
    """What Envoy's ratelimit filter adds."""
    return list(zip(RAW, (limit, str(remaining), str(reset)), strict=True))


def after_request(engine: Engine, model: str = "gpt-4o") -> Stream:
    """A stream whose request asked for this model."""
    stream = engine.stream()
    stream.request(json.dumps({"model": model, "messages": []}).encode())
    return stream


def told(message: Message) -> dict[str, str]:
    """Every rate-limit header that the client gets."""
    found = {name: value for name, value in message.headers if name.startswith("x-ratelimit-")}
    assert not set(found) & set(RAW)
    return found


def row(kind: str, limit: int, remaining: int, reset: int) -> dict[str, str]:
    """The three headers of one limit."""
    return {
        f"x-ratelimit-limit-{kind}": str(limit),
        f"x-ratelimit-remaining-{kind}": str(remaining),
        f"x-ratelimit-reset-{kind}": str(reset),
    }


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (proxy_headers("9, 9;w=60", 9, 12), row("tokens", 10, 10, 12)),
        (proxy_headers("9, 9;w=60", 0, 12), row("tokens", 10, 1, 12)),
        (proxy_headers("5, 9;w=60, 5;w=60", 4, 1), row("requests", 5, 4, 1)),
        (proxy_headers('9, 9;w=60;name="x", 5;w=60', 3, 60), row("tokens", 10, 4, 60)),
        (proxy_headers("7, 7;w=60", 3, 60), row("tokens", 8, 4, 60)),
        (proxy_headers("7, 7;w=60, 7;w=3600", 3, 59), row("tokens", 8, 4, 59)),
        (proxy_headers("7, 7;w=60, 7;w=3600", 3, 61), row("tokens", 8, 4, 61)),
        (proxy_headers("7, 7;w=3600", 3, 59), row("tokens", 8, 4, 59)),
        (proxy_headers("9", 9, 12), row("tokens", 10, 10, 12)),
        (proxy_headers("9, 9;w=3600", 9, 12), {}),
        (proxy_headers("11, 11;w=60", 9, 12), {}),
        (proxy_headers("junk", 9, 12), {}),
        ([], {}),
    ],
)
def test_admitted_answer_says_the_true_quantity(engine: Engine, sent: Headers, expected: dict[str, str]) -> None:
    """Quantity, quantity minus used, seconds, of the tightest limit; the proxy's own three never reach the client."""
    message = after_request(engine).answer([b"{}"], [(":status", "200"), *sent])
    assert told(message) == expected


def test_last_value_is_the_proxys(engine: Engine) -> None:
    """Of several values the proxy's came last: it is the one that counts, and all are gone."""
    sent = [*proxy_headers("5, 5;w=60", 1, 1), *proxy_headers("9, 9;w=60", 8, 7)]
    message = after_request(engine).answer([b"{}"], [(":status", "200"), *sent])
    assert told(message) == row("tokens", 10, 9, 7)


def test_upstreams_own_headers_are_replaced(engine: Engine) -> None:
    """An upstream's numbers, of either kind, give way to ours on an admitted answer; without ours they stay."""
    own = [(name, "777") for name in KINDS]
    message = after_request(engine).answer([b"{}"], [(":status", "200"), *own, *proxy_headers("9, 9;w=60", 8, 7)])
    assert told(message) == row("tokens", 10, 9, 7)
    assert [name for name, _ in message.headers].count("x-ratelimit-limit-tokens") == 1
    assert told(after_request(engine).answer([b"{}"], [(":status", "200"), *own])) == dict(own)


def test_errors_of_the_upstream_are_admitted_answers(engine: Engine) -> None:
    """An answer that the upstream refused for its own reasons still says where the limit stands."""
    sent = [(":status", "500"), *proxy_headers("9, 9;w=60", 8, 7)]
    assert told(after_request(engine).answer(None, sent)) == row("tokens", 10, 9, 7)


@pytest.mark.parametrize(
    ("proxy", "limit", "wait"),
    [
        (proxy_headers("9, 9;w=60", 0, 12), (10, "tokens", "minute"), 12),
        (proxy_headers("5, 5;w=60", 0, 60), (5, "requests", "minute"), 60),
        (proxy_headers("0, 0;w=3600", 0, 1799), (0, "tokens", "hour"), 1799),
    ],
)
def test_refusal(engine: Engine, proxy: Headers, limit: tuple[int, str, str], wait: int) -> None:
    """Our 429 has OpenAI's headers and body, exactly."""
    quantity, kind, per = limit
    message = after_request(engine).answer(None, [(":status", "429"), *proxy])
    expected = {
        ":status": "429",
        "retry-after": str(wait),
        "retry-after-ms": str(wait * 1000),
        "content-type": "application/json",
        "content-length": str(len(message.body)),
        **row(kind, quantity, 0, wait),
    }
    if wait > 60:
        expected["x-should-retry"] = "false"
    assert dict(message.headers) == expected
    text = f"Rate limit reached for gpt-4o on {kind} per {per}: limit {quantity}, used up. Please try again in {wait}s."
    assert json.loads(message.body) == {
        "error": {"message": text, "type": kind, "param": None, "code": "rate_limit_exceeded"}
    }


def test_refusal_is_json_whatever_the_model(engine: Engine) -> None:
    """A model with quotes, backslashes and letters of any script does not break the body."""
    model = 'a"b\\c/é😀'
    message = after_request(engine, model).answer(None, [(":status", "429"), *proxy_headers("9, 9;w=60", 0, 12)])
    assert model in json.loads(message.body)["error"]["message"]


def test_refusal_charges_nothing(engine: Engine) -> None:
    """A refused request has cost no tokens."""
    stream = after_request(engine)
    stream.answer(None, [(":status", "429"), *proxy_headers("9, 9;w=60", 0, 12)])
    assert stream.metadata["total_tokens"] == 0
    assert stream.metadata["usage_source"] == "none"


def test_refusal_by_a_limit_that_is_not_known(engine: Engine) -> None:
    """A refusal whose limit the context does not list still says when to come back."""
    message = after_request(engine).answer(None, [(":status", "429"), *proxy_headers("3, 3;w=60", 0, 0)])
    assert told(message) == {}
    assert message.header("retry-after") == "1"
    text = "Rate limit reached for gpt-4o. Please try again in 1s."
    assert json.loads(message.body)["error"]["message"] == text


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ([("content-type", "application/json"), ("content-length", "4")], [b"mine"]),
        ([("content-length", "0")], None),
        ([("date", "now")], None),
        ([("content-type", "text/plain")], [b"mine"]),
        ([], [b"mi", b"ne"]),
        ([("x-envoy-ratelimited", "true"), ("date", "now")], None),
    ],
)
def test_upstreams_429_passes(engine: Engine, headers: Headers, body: list[bytes] | None) -> None:
    """An upstream's 429 is its own, headers and body, even when the proxy's say that nothing remains."""
    own = [(":status", "429"), ("retry-after", "3"), ("x-ratelimit-limit-tokens", "777"), *headers]
    message = after_request(engine).answer(body, [*own, *proxy_headers("9, 9;w=60", 0, 12)])
    assert message.headers == own
    assert message.body == b"".join(body or [])


@pytest.mark.parametrize("proxy", [[], proxy_headers("9, 9;w=60", 3, 12)])
def test_bare_429_without_a_used_up_limit_passes(engine: Engine, proxy: Headers) -> None:
    """No limit of ours is used up: a 429 without anything is not ours either."""
    message = after_request(engine).answer(None, [(":status", "429"), *proxy])
    assert message.headers == [(":status", "429")]
    assert message.body == b""


@pytest.mark.parametrize("context", [None, {}, {"limits": "x"}, {"limits": []}])
def test_refusal_without_context(engine: Engine, context: JSON) -> None:
    """Without a context a refusal is still a refusal."""
    message = engine.stream(context).answer(None, [(":status", "429"), *proxy_headers("9, 9;w=60", 0, 12)])
    assert message.header("retry-after") == "12"
    assert "unknown" in json.loads(message.body)["error"]["message"]
