"""``limits[].weights``: each kind of token at its own price, the sum rounded up once, beside plain counts."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from e2e.client import Client, assert_refused, usage
from e2e.conftest import Serve
from llmroute import names
from llmroute.conformance.cases.prices import PRICED, PRICES, anthropic, detailed
from llmroute.conformance.upstream import Chunk, Script
from tests.policies import header, limit, route, rule, text, with_spec

USERS: Final = [header(names.USER_HEADER, "Distinct")]
SSE: Final = {"content-type": "text/event-stream"}


def weighted(quantity: int, weights: dict[str, Any], **spec: Any) -> str:
    """So much a day for each user, at these prices."""
    policy = route(rule(limit(quantity, unit="Day", weights=weights), headers=USERS))
    return text(with_spec(policy, **spec))


@pytest.mark.parametrize(("reported", "charged"), PRICED.values(), ids=PRICED)
def test_each_kind_has_its_price(serve: Serve, reported: dict[str, Any], charged: int) -> None:
    """As reported, in a JSON answer (FX-19: the parts count, not the total)."""
    client = serve(weighted(1000, PRICES))
    body = {"choices": [], "usage": reported}
    assert client.chat(script=Script(body=body, headers={"content-type": "application/json"})).status == 200
    assert client.settled(charged) == charged


def test_prices_of_caches(serve: Serve) -> None:
    """AP-21: 50 fresh, 500 from a cache, 40 into it, 75 of completion are 225; 1000 becomes 775, and then 0."""
    client = serve(weighted(1000, {"prompt": 1, "cachedPrompt": 0.1, "cacheWrite": 1.25, "completion": 1}))
    script = Script(body={"usage": anthropic(50, 500, 40, 75)}, headers={"content-type": "application/json"})
    for i, left in enumerate(["1000", "775", "550", "325", "100"]):
        answer = client.chat(script=script)
        assert (answer.status, answer.headers["x-ratelimit-remaining-tokens"]) == (200, left)
        assert client.settled(225 * (i + 1)) == 225 * (i + 1)
    assert_refused(client.chat(script=script))
    assert client.settled(1125) == 1125


def test_decimals_are_exact(serve: Serve) -> None:
    """0.1 + 0.2 is 0.3: three tokens at 0.1 and two at 0.35 are one, not two."""
    client = serve(weighted(10, {"prompt": 0.1, "completion": 0.35}))
    assert client.chat(script=Script(usage=usage(5, 3, 2))).status == 200
    assert client.settled(1) == 1
    assert client.chat(script=Script(usage=usage(10, 10, 0))).status == 200
    assert client.settled(2) == 2


def test_a_stream_is_charged_by_its_last_report(serve: Serve) -> None:
    """Whether the client asked for usage or not."""
    client = serve(weighted(1000, PRICES))
    for body, charged in (({"stream": True, "stream_options": {"include_usage": True}}, 80), ({"stream": True}, 160)):
        assert client.chat(script=Script(usage=detailed(60, 20, 10, 2)), body=body).status == 200
        assert client.settled(charged) == charged  # 40 + 2 + 32 + 6 each


def test_kinds_side_by_side(serve: Serve) -> None:
    """Prompt, completion, total and two prices in one rule: each counts its own, the used up one refuses."""
    limits = [
        limit(1000, unit="Day", token="Prompt"),
        limit(1000, unit="Day", token="Completion"),
        limit(1000, unit="Day"),
        limit(100, unit="Day", weights=PRICES),
        limit(1000, unit="Day", weights={"prompt": 0, "completion": 0.5}),
    ]
    client = serve(text(route(rule(*limits, headers=USERS))))
    assert client.chat(script=Script(usage=usage(37, 12, 25))).status == 200
    counted = [client.settled(expected, i) for i, expected in enumerate([12, 25, 37, 112, 13])]
    assert counted == [12, 25, 37, 112, 13]
    assert_refused(client.chat(script=Script(usage=usage(37, 12, 25))))
    assert [client.stack.used(i, client.user) for i in range(5)] == counted


@pytest.mark.parametrize(
    ("policy", "charged"), [({"onMissing": "Fixed", "fixedTokens": 37}, 37), ({"onMissing": "Free"}, 0)]
)
def test_without_usage_the_policy_says(serve: Serve, policy: dict[str, Any], charged: int) -> None:
    """A fixed charge is what it says, whatever a token costs."""
    client = serve(weighted(1000, PRICES, usage=policy))
    assert client.chat(script=Script(usage="absent")).status == 200
    assert client.chat(script=Script(usage=usage(5, 5, 0))).status == 200
    assert client.settled(charged + 5) == charged + 5


def test_a_client_that_leaves_pays_for_what_it_saw(serve: Serve) -> None:
    """Two deltas at 4 each, and the estimate of the prompt."""
    client: Client = serve(weighted(1000, PRICES))
    hold = f"leave-{client.user}"
    event = b'data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"x"}}]}\n\n'
    chunks = (Chunk(event), Chunk(event, hold=f"{hold}-1"), Chunk(event, hold=f"{hold}-2"))
    messages = [{"role": "user", "content": "12345678"}]
    with client.stream({"messages": messages}, script=Script(headers=SSE, chunks=chunks)) as response:
        stream = response.iter_raw()
        assert next(stream) == event
        client.stack.upstream.release(f"{hold}-1")
        assert next(stream) == event
    expected = -(-len(json.dumps(messages)) // 4) + 8
    assert client.settled(expected) == expected
    client.stack.upstream.release(f"{hold}-2")


def test_errors_cost_nothing(serve: Serve) -> None:
    """And leave the next answer's charge alone."""
    client = serve(weighted(1000, PRICES))
    assert client.chat(script=Script(status=500, body={"usage": usage(9, 9, 9)})).status == 500
    assert client.chat(script=Script(usage=usage(5, 5, 0))).status == 200
    assert client.settled(5) == 5
