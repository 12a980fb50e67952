"""What an answer is charged: the reported usage, the estimate, or nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from e2e.client import Client, assert_refused, usage
from e2e.conftest import Serve
from llmroute import names
from llmroute.conformance.cases.accounting import ERRORS, REPORTED, TOP_LEVEL
from llmroute.conformance.upstream import Break, Script
from tests.policies import header, limit, route, rule, text

POLICY = text(route(rule(limit(1000, unit="Day"), headers=[header(names.USER_HEADER, "Distinct")])))
USERS = [header(names.USER_HEADER, "Distinct")]


@pytest.fixture
def client(serve: Serve) -> Client:
    """A fresh user of 1000 tokens a day."""
    return serve(POLICY)


@pytest.mark.parametrize(("reported", "charged"), REPORTED.values(), ids=REPORTED)
def test_the_reported_usage(client: Client, reported: dict[str, Any], charged: int) -> None:
    """The total that the API reports, even when it is not the sum; the sum where there is none."""
    assert client.chat(script=Script(usage=reported)).status == 200
    assert client.settled(charged) == charged
    assert client.chat(script=Script(usage=usage(1))).status == (200 if charged < 1000 else 429)
    expected = charged + (1 if charged < 1000 else 0)
    assert client.settled(expected) == expected


@pytest.mark.parametrize("body", TOP_LEVEL.values(), ids=TOP_LEVEL)
def test_only_the_top_level_usage_counts(client: Client, body: dict[str, Any]) -> None:
    """A model that writes usage into its answer changes nothing (FX-21, FX-22)."""
    assert client.chat(script=Script(body=json.dumps(body, indent=1), headers={"content-type": "application/json"}))
    assert client.settled(50) == 50


@pytest.mark.parametrize("missing", ["absent", None], ids=["absent", "null"])
def test_no_usage_is_estimated(client: Client, missing: Any) -> None:
    """Prompt bytes / 4 and answer bytes / 4, each rounded up (FX-06)."""
    answer = client.chat(script=Script(usage=missing))
    assert answer.status == 200
    prompt = -(-len(json.dumps([{"role": "user", "content": "hello"}])) // 4)
    expected = prompt - (-len(answer.body) // 4)
    assert client.settled(expected) == expected


@pytest.mark.parametrize("status", ERRORS)
def test_an_upstream_error_costs_no_tokens(client: Client, status: int) -> None:
    """And passes as it came, an upstream's own 429 too; the next answer is charged alone."""
    body = {"error": {"message": "not ours"}, "usage": usage(500)}
    answer = client.chat(script=Script(status=status, body=body, headers={"x-ratelimit-limit-tokens": "77"}))
    assert (answer.status, answer.json()) == (status, body)
    assert answer.served
    if status == 429:
        assert answer.headers["x-ratelimit-limit-tokens"] == "77", "the upstream's own"
    assert not {"x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"} & set(answer.headers)
    assert client.chat(3).status == 200
    assert client.settled(3) == 3


def test_an_upstream_that_never_answers_costs_nothing(client: Client) -> None:
    """The connection breaks before an answer: 503 of the proxy, no tokens."""
    answer = client.chat(script=Script(break_after=Break("request")))
    assert answer.status == 503
    assert client.chat(3).status == 200
    assert client.settled(3) == 3


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_reading_costs_nothing(client: Client, method: str) -> None:
    """A list of models has no tokens (N-23)."""
    answer = client.send(b"", method=method, path="/v1/models", headers={names.USER_HEADER: client.user})
    assert answer.served
    assert client.chat(3).status == 200
    assert client.settled(3) == 3


def test_errors_are_requests(serve: Serve) -> None:
    """A request limit counts admitted requests, whatever became of them."""
    client = serve(text(route(rule(limit(2, "Request", "Day"), headers=USERS))))
    assert client.chat(script=Script(status=500)).status == 500
    assert client.chat(5).status == 200
    assert_refused(client.chat(5), kind="requests")


@pytest.mark.parametrize("kind", ["Token", "Request"])
def test_a_quantity_of_0_never_admits(serve: Serve, kind: str) -> None:
    """Not even the first request."""
    client = serve(text(route(rule(limit(0, kind, "Day"), headers=USERS))))
    assert_refused(client.chat(1), kind=f"{kind.lower()}s")


def test_exactly_the_quantity_is_used_up(serve: Serve) -> None:
    """9 of 10 admits, 10 of 10 does not; 1 of 1 neither."""
    client = serve(text(route(rule(limit(10, unit="Day"), headers=USERS))))
    assert client.chat(9).status == 200
    assert client.settled(9) == 9
    assert client.chat(1).status == 200
    assert client.settled(10) == 10
    assert_refused(client.chat(1))
    one = serve(text(route(rule(limit(1, unit="Day"), headers=USERS))))
    assert one.chat(1).status == 200
    assert one.settled(1) == 1
    assert_refused(one.chat(1))
    assert one.settled(1) == 1


def test_a_global_limit_counts_everyone(serve: Serve) -> None:
    """A rule without headers."""
    client = serve(text(route(rule(limit(10, unit="Day")))))
    assert client.chat(10, user="a").status == 200
    assert client.settled(10, 0) == 10
    assert_refused(client.chat(10, user="b"))
    assert client.stack.used(0) == 10
