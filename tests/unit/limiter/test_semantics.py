"""What a limit means (DESIGN 4), on the reference limiter."""

from __future__ import annotations

import pytest

from llmroute.limiter.semantics import PolicyLimit, ReferenceLimiter
from llmroute.limiter.window import Unit

TOKENS = PolicyLimit("amy", "Token", 100, Unit.HOUR)
REQUESTS = PolicyLimit("amy", "Request", 2, Unit.HOUR)


def reference(now: float = 0.0, *, refused_count_as_requests: bool = False) -> ReferenceLimiter:
    """A reference limiter whose clock stands still."""
    return ReferenceLimiter(lambda: now, refused_count_as_requests=refused_count_as_requests)


def test_the_request_that_crosses_the_limit_completes() -> None:
    """37 tokens against 100: three go through, 111 are used, the fourth is refused."""
    limiter = reference()
    for used in (0, 37, 74):
        assert limiter.used(TOKENS) == used
        assert limiter.admit([TOKENS])
        limiter.charge([TOKENS], 37)
    assert limiter.used(TOKENS) == 111
    assert limiter.remaining(TOKENS) == 0
    assert not limiter.admit([TOKENS])
    assert limiter.used(TOKENS) == 111


def test_a_quantity_that_is_used_up_exactly_admits_no_more() -> None:
    """With used == quantity, used < quantity does not hold."""
    limiter = reference()
    limiter.charge([TOKENS], 100)
    assert not limiter.admit([TOKENS])


@pytest.mark.parametrize("kind", ["Request", "Token"])
def test_a_quantity_of_zero_never_admits(kind: str) -> None:
    """Of either type."""
    limit = PolicyLimit("amy", "Token" if kind == "Token" else "Request", 0, Unit.DAY)
    assert not reference().admit([limit])


def test_a_request_limit_is_charged_on_admission_alone() -> None:
    """Tokens do not count against it, requests not against tokens."""
    limiter = reference()
    assert limiter.admit([REQUESTS, TOKENS])
    limiter.charge([REQUESTS, TOKENS], 50)
    assert (limiter.used(REQUESTS), limiter.used(TOKENS)) == (1, 50)


def test_all_that_are_in_flight_complete() -> None:
    """Admission knows only what has been charged: that is the overshoot."""
    limiter = reference()
    assert all(limiter.admit([TOKENS]) for _ in range(5))


def test_a_charge_lands_in_the_window_in_which_the_answer_ends() -> None:
    """Not in that of the admission."""
    now = [3599.0]
    limiter = ReferenceLimiter(lambda: now[0])
    limiter.admit([TOKENS])
    now[0] = 3600.0
    limiter.charge([TOKENS], 100)
    assert not limiter.admit([TOKENS])


def test_a_shadow_counts_and_never_refuses() -> None:
    """Whatever it has counted."""
    shadow = PolicyLimit("amy", "Token", 1, Unit.DAY, shadow=True)
    limiter = reference()
    limiter.charge([shadow], 9)
    assert limiter.admit([shadow])
    assert limiter.used(shadow) == 9


@pytest.mark.parametrize(("as_in_stock_proxies", "requests"), [(False, 0), (True, 1)])
def test_a_request_that_another_limit_refuses(*, as_in_stock_proxies: bool, requests: int) -> None:
    """By DESIGN 4 it charges nothing; the rate limit service has counted it as a request already."""
    limiter = reference(refused_count_as_requests=as_in_stock_proxies)
    limiter.charge([TOKENS], 100)
    assert not limiter.admit([TOKENS, REQUESTS])
    assert limiter.used(REQUESTS) == requests
