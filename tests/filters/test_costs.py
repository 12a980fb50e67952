"""Weighted sums of an answer's tokens: exact, rounded up once, current while the answer goes on."""

from __future__ import annotations

import functools
import json
from decimal import Decimal
from fractions import Fraction
from math import ceil
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmroute import names
from llmroute.emit.charges import _cost
from llmroute.plan import Weights
from llmroute.render.lua import JSON
from tests.filters.lua_engine import LuaEngine
from tests.filters.proxy import CONTEXT, JSON_ANSWER, SSE_ANSWER, Engine, Message, Stream
from tests.filters.test_streams import ASKED, DONE, delta, last

ONE: Final = Weights(Decimal(1), Decimal("0.1"), Decimal("1.25"), Decimal(4), Decimal(3))
FLAT: Final = Weights(*[Decimal(1)] * 5)
KEY: Final = f"{names.COST_PREFIX}1"


def route(*weights: Weights, **more: JSON) -> JSON:
    """The context of a route with these weighted costs."""
    assert isinstance(CONTEXT, dict)
    return {**CONTEXT, "costs": [_cost(i, one) for i, one in enumerate(weights)], **more}


def answered(engine: Engine, usage: Any, *weights: Weights, **more: JSON) -> Stream:
    """A JSON answer that reports this usage has gone by."""
    stream = engine.stream(route(*weights, **more))
    stream.request(ASKED)
    stream.answer([json.dumps({"choices": [], "usage": usage}).encode()], JSON_ANSWER)
    assert stream.logs == []
    return stream


def openai(prompt: int, cached: int, completion: int, reasoning: int) -> dict[str, Any]:
    """OpenAI's usage object."""
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cached},
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }


@pytest.mark.parametrize(
    ("usage", "cost"),
    [
        (openai(100, 0, 10, 0), 140),
        (openai(100, 40, 10, 0), 104),
        (openai(100, 41, 10, 0), 104),  # 59 + 4.1 + 40, rounded up
        (openai(100, 100, 10, 10), 40),
        (openai(0, 0, 10, 4), 36),
        (openai(100, 200, 10, 0), 50),  # no more cached than there are
        (openai(100, 0, 10, 25), 130),  # no more reasoning than completion
        ({"prompt_tokens": 8, "completion_tokens": 5, "total_tokens": 99}, 28),  # FX-19: the parts, not the total
        ({"prompt_tokens": 8, "total_tokens": 8}, 8),
        ({"total_tokens": 9}, 9),  # reranking: all of it is the prompt
        ({"input_tokens": 10, "output_tokens": 5, "cache_read_input_tokens": 20}, 32),
        ({"input_tokens": 10, "output_tokens": 5, "cache_creation_input_tokens": 20}, 55),
        (
            {
                "input_tokens": 3,
                "output_tokens": 1,
                "cache_read_input_tokens": 7,
                "cache_creation_input_tokens": 5,
            },
            14,  # 3 + 0.7 + 6.25 + 4, rounded up once
        ),
        ({"promptTokenCount": 10, "candidatesTokenCount": 5, "thoughtsTokenCount": 3, "totalTokenCount": 18}, 39),
        (openai(0, 0, 0, 0), 0),
    ],
)
def test_each_part_has_its_weight(engine: Engine, usage: Any, cost: int) -> None:
    """Prompt 1, cached 0.1, cache writes 1.25, completion 4, reasoning 3; the sum is rounded up, its terms are not."""
    assert answered(engine, usage, ONE).metadata[KEY] == cost


def test_several_costs_side_by_side(engine: Engine) -> None:
    """Each set of weights has its own key; the plain counts stay what they were."""
    double = Weights(Decimal(2), Decimal(2), Decimal(2), Decimal(0), Decimal(0))
    stream = answered(engine, openai(10, 4, 5, 2), ONE, FLAT, double)
    costs = [stream.metadata[f"{names.COST_PREFIX}{i}"] for i in (1, 2, 3)]
    assert costs == [25, 15, 20]  # 6 + 0.4 + 12 + 6
    assert (stream.metadata[names.TOTAL_TOKENS], stream.metadata[names.CACHED_TOKENS]) == (15, 4)


def test_no_weights_no_key(engine: Engine) -> None:
    """A route without weights has no cost."""
    stream = answered(engine, openai(10, 4, 5, 2))
    assert not [key for key in stream.metadata if key.startswith(names.COST_PREFIX)]


def test_the_cost_is_clamped(engine: Engine) -> None:
    """Envoy drops a charge above it (PLATFORM 2.22)."""
    dear = Weights(*[Decimal("999999.999999")] * 5)
    assert answered(engine, openai(1000, 0, 0, 0), dear).metadata[KEY] == 999999999 + 1
    assert answered(engine, openai(999, 0, 0, 0), dear).metadata[KEY] == ceil(999 * Fraction(999999999999, 10**6))
    for tokens in (1001, 10**9, 10**12):
        assert answered(engine, openai(tokens, 0, tokens, 0), dear).metadata[KEY] == names.MAX_CHARGE


@functools.cache
def _engine() -> Engine:
    return LuaEngine("luajit21")


_WEIGHT: Final = st.decimals(min_value=0, max_value=1000, places=6) | st.sampled_from([Decimal(0), Decimal("0.1")])
_TOKENS: Final = st.integers(0, 5000) | st.integers(0, 10**9)


@given(st.tuples(_WEIGHT, _WEIGHT, _WEIGHT, _WEIGHT, _WEIGHT), _TOKENS, _TOKENS, _TOKENS, _TOKENS, _TOKENS)
@settings(max_examples=300, deadline=None)
def test_sums_are_exact(
    weights: tuple[Decimal, ...], fresh: int, read: int, written: int, text: int, thoughts: int
) -> None:
    """What fractions of any length say, rounded up, up to the clamp. The wire formats' own clamps stay out of it."""
    usage = {
        "input_tokens": fresh,
        "cache_read_input_tokens": read,
        "cache_creation_input_tokens": written,
        "output_tokens": text + thoughts,
        "output_tokens_details": {"reasoning_tokens": thoughts},
    }
    if fresh + read + written > names.MAX_CHARGE or text + thoughts > names.MAX_CHARGE:
        return
    parts = (fresh, read, written, text, thoughts)
    exact = ceil(sum((Fraction(w) * n for w, n in zip(weights, parts, strict=True)), Fraction(0)))
    cost = answered(_engine(), usage, Weights(*weights)).metadata[KEY]
    assert cost == min(exact, names.MAX_CHARGE)


def test_an_estimate_is_weighed_the_same(engine: Engine) -> None:
    """Prompt and deltas of a stream that reports nothing, after every piece; a client may leave at any of them."""
    stream = engine.stream(route(ONE))
    stream.request(b'{"model":"m","stream":true,"messages":["1234567890ab"]}', path="/v1/chat/completions")
    assert stream.metadata[KEY] == 0
    message = stream.answer([delta("a").encode(), delta("b").encode(), DONE.encode()], SSE_ANSWER, watch=True)
    assert [seen[KEY] for seen in message.seen] == [8, 12, 12]
    assert stream.metadata[names.USAGE_SOURCE] == "estimated"


def test_a_report_overrides_the_estimate(engine: Engine) -> None:
    """The cost becomes that of the report, downwards too."""
    stream = engine.stream(route(ONE))
    stream.request(ASKED)
    message = stream.answer(
        [delta("a").encode(), delta("b").encode(), last(openai(4, 4, 1, 1)).encode()], SSE_ANSWER, watch=True
    )
    assert [seen[KEY] for seen in message.seen] == [6, 10, 4]  # 0.4 + 3


@pytest.mark.parametrize(
    ("usage", "cost"),
    [({"onMissing": "Fixed", "fixedTokens": 37}, 37), ({"onMissing": "Free"}, 0), ({"onMissing": "Fixed"}, 0)],
)
def test_without_usage_the_policy_says(engine: Engine, usage: JSON, cost: int) -> None:
    """A fixed number is the cost itself, whatever the weights; free is nothing."""
    stream = engine.stream(route(ONE, usage=usage))
    stream.request(ASKED)
    stream.answer([b'{"choices":[]}'])
    assert stream.metadata[KEY] == cost


@pytest.mark.parametrize("status", ["400", "429", "500"])
def test_errors_cost_nothing(engine: Engine, status: str) -> None:
    """The key is there and 0."""
    stream = engine.stream(route(ONE))
    stream.request(ASKED)
    stream.answer([json.dumps({"usage": openai(9, 0, 9, 0)}).encode()], [(":status", status)])
    assert stream.metadata[KEY] == 0


def test_free_on_disconnect_writes_no_cost_on_the_way(engine: Engine) -> None:
    """Only a whole answer is charged then."""
    stream = engine.stream(route(ONE, usage={"onDisconnect": "Free"}))
    stream.request(ASKED)
    message: Message = stream.answer([delta("a").encode(), DONE.encode()], SSE_ANSWER, watch=True, trailers=True)
    assert [seen[KEY] for seen in message.seen] == [0, 0]
    assert stream.metadata[KEY] == 6


@pytest.mark.parametrize(
    "costs",
    [
        None,
        "x",
        [None],
        ["x"],
        [{}],
        [{"key": 1}],
        [{"key": KEY}],
        [{"key": KEY, "scale": 0}],
        [{"key": KEY, "scale": "x", "prompt": -1, "completion": "y"}],
    ],
)
def test_nonsense_is_no_fault(engine: Engine, costs: JSON) -> None:
    """Without usable weights a token costs 1; without a key there is no cost. Metering goes on."""
    stream = engine.stream(route(ONE) | {"costs": costs})  # type: ignore[operator]
    stream.request(ASKED)
    stream.answer([json.dumps({"usage": openai(10, 0, 5, 0)}).encode()])
    assert stream.logs == []
    assert stream.metadata[names.TOTAL_TOKENS] == 15
    assert stream.metadata.get(KEY, 15) == 15
