"""What the client is told: how much is left on every admitted answer, and how long to wait on a refusal."""

from __future__ import annotations

from typing import Any

import pytest

from e2e.client import Client, assert_refused
from e2e.conftest import Serve
from e2e.stacks.local import LocalStack
from llmroute import names
from llmroute.conformance.upstream import Script
from tests.policies import header, limit, route, rule, text

USERS = [header(names.USER_HEADER, "Distinct")]
KINDS = ("limit", "remaining", "reset")


def told(client: Client, total: int, kind: str = "tokens", body: dict[str, Any] | None = None) -> tuple[int, int]:
    """Limit and remaining of an admitted answer."""
    answer = client.chat(total, body=body)
    assert answer.status == 200
    assert not {f"x-ratelimit-{k}" for k in KINDS} & set(answer.headers), "the service's own, with their N - 1"
    assert 0 < int(answer.headers[f"x-ratelimit-reset-{kind}"]) <= 86_400
    return int(answer.headers[f"x-ratelimit-limit-{kind}"]), int(answer.headers[f"x-ratelimit-remaining-{kind}"])


@pytest.mark.parametrize("streamed", [False, True])
def test_remaining_is_quantity_minus_used_at_admission(serve: Serve, streamed: bool) -> None:
    """30, 20, 10, then refused (AP-03); streams too. The answer's own cost is not in it yet."""
    client = serve(text(route(rule(limit(30, unit="Day"), headers=USERS))))
    for used in (0, 10, 20):
        assert client.settled(used) == used
        assert told(client, 10, body={"stream": streamed}) == (30, 30 - used)
    assert client.settled(30) == 30
    assert_refused(client.chat(10))


def test_the_tightest_limit_is_told(serve: Serve) -> None:
    """1000 tokens a day and 30 an hour: the hour's."""
    client = serve(text(route(rule(limit(1000, unit="Day"), limit(30), headers=USERS))))
    assert told(client, 5) == (30, 30)
    assert client.settled(5, 1) == 5
    assert told(client, 5) == (30, 25)


def test_a_request_limit_is_told_in_requests(serve: Serve) -> None:
    """The request itself is counted already."""
    client = serve(text(route(rule(limit(3, "Request", "Day"), headers=USERS))))
    assert [told(client, 5, "requests") for _ in range(3)] == [(3, 2), (3, 1), (3, 0)]
    assert_refused(client.chat(5), kind="requests")


def test_the_last_token_is_1(serve: Serve) -> None:
    """99 of 100 used: 1 remains, and the request passes."""
    client = serve(text(route(rule(limit(100, unit="Day"), headers=USERS))))
    assert told(client, 99) == (100, 100)
    assert client.settled(99) == 99
    assert told(client, 500) == (100, 1)
    assert client.settled(599) == 599
    assert_refused(client.chat(1))


def test_without_a_matching_limit_nothing_is_told(serve: Serve) -> None:
    """No limit, no headers."""
    client = serve(text(route(rule(limit(5), headers=[header(names.USER_HEADER, "Exact", "somebody")]))))
    assert not [h for h in client.chat(5).headers if h.startswith("x-ratelimit")]


def test_the_upstreams_own_limits_do_not_mix_with_ours(serve: Serve) -> None:
    """OpenAI sends such headers itself; on an admitted answer ours stand."""
    client = serve(text(route(rule(limit(30, unit="Day"), headers=USERS))))
    theirs = {
        "x-ratelimit-limit-tokens": "9",
        "x-ratelimit-remaining-requests": "8",
        "x-ratelimit-remaining-tokens": "7",
    }
    answer = client.chat(script=Script(headers=theirs))
    assert answer.headers.get_list("x-ratelimit-limit-tokens") == ["30"]
    assert answer.headers.get_list("x-ratelimit-remaining-tokens") == ["30"]
    assert "x-ratelimit-remaining-requests" not in answer.headers


@pytest.mark.parametrize(("unit", "seconds"), [("Minute", 60), ("Hour", 3600), ("Day", 86_400)])
def test_a_refusal_says_how_long_to_wait(serve: Serve, unit: str, seconds: int) -> None:
    """Seconds and milliseconds until the window ends; a client that would wait long is told not to retry."""
    client = serve(text(route(rule(limit(10, unit=unit), headers=USERS))))
    assert client.chat(10).status == 200
    assert client.settled(10) == 10
    refused = client.chat(10)
    assert_refused(refused)
    wait = int(refused.headers["retry-after"])
    assert 0 < wait <= seconds
    if isinstance(client.stack, LocalStack):  # its clock stands still
        assert wait == seconds - int(client.stack.now) % seconds
    assert refused.headers["retry-after-ms"] == str(wait * 1000)
    assert refused.headers["x-ratelimit-reset-tokens"] == str(wait)
    assert refused.headers["x-ratelimit-limit-tokens"] == "10"
    assert refused.headers.get("x-should-retry") == ("false" if wait > 60 else None)
    assert refused.json()["error"] == {
        "message": f"Rate limit reached for gpt-4o-mini on tokens per {unit.lower()}: limit 10, used up. "
        f"Please try again in {wait}s.",
        "type": "tokens",
        "param": None,
        "code": "rate_limit_exceeded",
    }
