"""How far past a limit: the numbers, mode by mode, and what is said where there is none."""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from typing import Any

import pytest

from llmroute.diagnostic import Origin
from llmroute.overshoot import added, in_flight_of_clients, in_flight_of_route, overshoot, summary
from llmroute.plan import Admission, Kind, Limit, Mode, Route, Settle, Token, Unit, Weights
from tests.policies import compiled, limit, route, rule, with_spec

TOKENS = Limit("id", Kind.TOKENS, 1000, Unit.HOUR, (), Origin("f"))
POST_PAID = Admission(Mode.POST_PAID, Settle.ASYNC, 100, 8, Origin("f"))
PREPAID = dataclasses.replace(POST_PAID, mode=Mode.PREPAID_PROMPT)
RESERVE = dataclasses.replace(POST_PAID, mode=Mode.RESERVE)
WEIGHTS = Weights(Decimal(1), Decimal("0.1"), Decimal("1.25"), Decimal(4), Decimal("4.5"))


@pytest.mark.parametrize(
    ("admission", "counts", "expected"),
    [
        (POST_PAID, Token.TOTAL, 50 + 100),
        (POST_PAID, Token.PROMPT, 50),
        (POST_PAID, Token.COMPLETION, 100),
        (POST_PAID, WEIGHTS, 513),  # 50 x 1.25 + 100 x 4.5 = 512.5, rounded up
        (PREPAID, Token.TOTAL, 50 + 100),
        (PREPAID, Token.PROMPT, 50),
        (PREPAID, Token.COMPLETION, 100),
        (RESERVE, Token.TOTAL, 50 - 20),
        (RESERVE, Token.COMPLETION, 0),
    ],
)
def test_what_one_request_adds(admission: Admission, counts: Token | Weights, expected: int) -> None:
    """A prompt of 50 tokens, estimated at 20, and an answer of 100: what of them is not booked on admission."""
    limited = dataclasses.replace(TOKENS, counts=counts)
    assert added(limited, admission, 50, 20) == expected
    assert overshoot(limited, admission, 64, 50, 20) == 64 * expected
    assert overshoot(limited, admission, None, 50, 20) == (None if expected else 0)


def test_a_prompt_that_is_estimated_too_long_adds_nothing() -> None:
    """It does not shorten the answer."""
    assert added(TOKENS, RESERVE, 10, 20) == 0


def test_without_a_bound_on_answers_there_is_none() -> None:
    """But where answers cost nothing."""
    endless = dataclasses.replace(POST_PAID, max_tokens=None)
    assert added(TOKENS, endless, 50) is None
    assert overshoot(TOKENS, endless, 8, 50) is None
    assert added(dataclasses.replace(TOKENS, counts=Token.PROMPT), endless, 50) == 50
    free = Weights(Decimal(1), Decimal(1), Decimal(1), Decimal(0), Decimal(0))
    assert added(dataclasses.replace(TOKENS, counts=free), endless, 50) == 50


def test_limits_that_nothing_passes() -> None:
    """Requests are booked on admission, and a quantity of 0 admits none; nothing holds a shadow."""
    assert overshoot(dataclasses.replace(TOKENS, kind=Kind.REQUESTS), POST_PAID, None, 50) == 0
    assert overshoot(dataclasses.replace(TOKENS, quantity=0), POST_PAID, 8, 50) == 0
    assert overshoot(dataclasses.replace(TOKENS, shadow=True), POST_PAID, 8, 50) is None


def test_in_flight_of_clients() -> None:
    """A client that asks again at once may have two charges under way, unless it waits for the first."""
    assert in_flight_of_clients(64, POST_PAID) == 128
    assert in_flight_of_clients(64, dataclasses.replace(POST_PAID, settle=Settle.SYNC)) == 64


def planned(**admission: Any) -> Route:
    """A route with two backends, a limit on one, and one across both."""
    policy = with_spec(route(a=[rule(limit(10))], b=[]), of_all=[rule(limit(20))], admission=admission)
    (made,) = compiled(policy).plan.routes
    return made


def test_in_flight_of_a_route() -> None:
    """``maxInFlight`` is for each backend, so a limit across all of them counts the sum."""
    bounded = planned(maxInFlight=5)
    (_, own), (_, of_all) = bounded.limits()
    assert (in_flight_of_route(bounded, own), in_flight_of_route(bounded, of_all)) == (10, 20)
    assert in_flight_of_route(planned(), own) is None


@pytest.mark.parametrize(
    ("admission", "says"),
    [
        ({}, "(its answer + prompt) tokens for each request in flight; for a number set spec.admission.maxInFlight and spec.admission.maxTokens"),
        ({"maxTokens": 100}, "(100 + prompt) tokens for each request in flight; for a number set spec.admission.maxInFlight"),
        ({"maxInFlight": 5}, "at most 10 x (its answer + prompt) tokens for each Envoy and backend; for a number set spec.admission.maxTokens"),
        ({"maxInFlight": 5, "maxTokens": 100}, "at most 10 x (100 + prompt) tokens for each Envoy and backend"),
    ],
)  # fmt: skip
def test_what_is_said_of_a_route(admission: dict[str, Any], says: str) -> None:
    """A number where the policy has both bounds, or else which one it lacks."""
    assert summary(planned(**admission)) == f"overshoot of token limits (PostPaid, Async): {says}"


@pytest.mark.parametrize(
    ("mode", "says"),
    [
        (Mode.PREPAID_PROMPT, "at most 10 x (100 + prompt) tokens for each Envoy and backend"),
        (Mode.RESERVE, "at most 10 x (prompt beyond its estimate) tokens for each Envoy and backend"),
    ],
)
def test_what_is_said_of_other_modes(mode: Mode, says: str) -> None:
    """What is booked with the check is not in it; what is booked after it is."""
    bounded = planned(maxInFlight=5, maxTokens=100)
    other = dataclasses.replace(bounded, admission=dataclasses.replace(bounded.admission, mode=mode))
    assert summary(other) == f"overshoot of token limits ({mode}, Async): {says}"


def test_nothing_is_said_without_token_limits() -> None:
    """Neither of requests nor of shadows."""
    for one in (limit(5, "Request"), limit(5, shadow=True), limit(0)):
        (made,) = compiled(route(rule(one))).plan.routes
        assert summary(made) == ""
