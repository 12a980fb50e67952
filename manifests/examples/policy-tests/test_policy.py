"""What llmroute.yaml has to mean, said in requests: a real Envoy decides, and no time is waited for."""

import pytest

from llmroute.testing import Gateway

pytestmark = pytest.mark.llmroute("llmroute.yaml")


def test_a_user_has_5000_tokens_an_hour_of_gpt_4o(gateway: Gateway) -> None:
    """The answer that crosses the limit completes; the next request is refused, and costs nothing."""
    assert gateway.ask(user="alice", model="gpt-4o", tokens=4_999).remaining == 5_000
    assert gateway.ask(user="alice", model="gpt-4o", tokens=300).remaining == 1
    refusal = gateway.ask(user="alice", model="gpt-4o")
    assert refusal.refused
    assert refusal.retry_after == 3_600
    assert gateway.used(2, user="alice", model="gpt-4o") == 5_299


def test_who_has_no_gpt_4o_left_may_ask_others(gateway: Gateway) -> None:
    """Until the day's tokens are used up as well; both limits have counted the first answer."""
    gateway.ask(user="alice", model="gpt-4o", tokens=6_000)
    assert gateway.ask(user="alice", model="gpt-4o").refused
    assert gateway.ask(user="alice", model="gpt-4o-mini", tokens=14_000).charged == {1: 14_000}
    assert gateway.ask(user="alice", model="gpt-4o-mini").refused


def test_users_are_apart(gateway: Gateway) -> None:
    """What one has used up the other still has."""
    gateway.ask(user="alice", tokens=20_000)
    assert gateway.ask(user="alice").refused
    assert gateway.ask(user="bob").admitted


@pytest.mark.parametrize("stream", [False, True])
def test_an_hour_later_there_is_gpt_4o_again(gateway: Gateway, *, stream: bool) -> None:
    """Windows turn by the test's clock; streams are charged like answers in one piece."""
    assert gateway.ask(user="alice", model="gpt-4o", tokens=5_000, stream=stream).admitted
    gateway.clock.advance(minutes=59)
    assert gateway.ask(user="alice", model="gpt-4o", stream=stream).refused
    gateway.clock.advance(minutes=1)
    assert gateway.ask(user="alice", model="gpt-4o", stream=stream).admitted


def test_an_upstream_that_fails_costs_nothing(gateway: Gateway) -> None:
    """The error passes on, and no counter moves."""
    answer = gateway.ask(user="alice", model="gpt-4o", tokens=5_000, status=503)
    assert (answer.status, answer.charged) == (503, {})
    assert gateway.counters() == ()
