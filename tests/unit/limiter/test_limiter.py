"""Counting and deciding: the semantics of envoyproxy/ratelimit with a clock that the test sets."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from llmroute.limiter import Code, Descriptor, Limiter, Rate, RequestError, Status, Unit, parse

CONFIG = """\
domain: d
descriptors:
  - {key: user, rate_limit: {unit: minute, requests_per_unit: 3, name: three}}
  - {key: shadow, shadow_mode: true, rate_limit: {unit: minute, requests_per_unit: 0}}
  - {key: free, rate_limit: {unlimited: true}}
  - {key: long, rate_limit: {unit: year, requests_per_unit: 3}}
"""
THREE = Rate(3, Unit.MINUTE, "three")


class Clock:
    """Stands still until it is told otherwise."""

    def __init__(self) -> None:
        self.now = 600.0

    def __call__(self) -> float:
        """Say the time, in Unix seconds."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Ten minutes past the epoch, on the first second of a minute."""
    return Clock()


@pytest.fixture
def limiter(clock: Clock) -> Limiter:
    """A limiter on ``CONFIG``."""
    return Limiter([parse(CONFIG, "test")], clock)


def user(hits: int | None = None, *, refund: bool = False, name: str = "amy") -> Descriptor:
    """A descriptor of the user's limit."""
    return Descriptor((("user", name),), hits, is_negative_hits=refund)


def test_hits_up_to_the_limit_are_ok_and_the_next_is_over(limiter: Limiter, clock: Clock) -> None:
    """Over means more than the limit, strictly; remaining and reset come along."""
    clock.now += 15
    seen = [limiter.should_rate_limit("d", [user()]).statuses[0] for _ in range(4)]
    assert seen == [
        Status(Code.OK, THREE, 2, 45),
        Status(Code.OK, THREE, 1, 45),
        Status(Code.OK, THREE, 0, 45),
        Status(Code.OVER_LIMIT, THREE, 0, 45),
    ]


def test_a_check_without_cost_counts_nothing(limiter: Limiter) -> None:
    """0 hits ask; the counter is there, with 0, as it is in Redis."""
    for _ in range(9):
        assert limiter.should_rate_limit("d", [user(0)]).code == Code.OK
    assert limiter.counters() == {"d_user_amy_600": 0}


def test_hits_of_the_call_are_for_descriptors_without_their_own(limiter: Limiter) -> None:
    """A call's 0 means 1; a descriptor's 0 means 0."""
    limiter.should_rate_limit("d", [user(name="a"), user(2, name="b"), user(0, name="c")])
    limiter.should_rate_limit("d", [user(name="a"), user(2, name="b"), user(0, name="c")], hits_addend=7)
    assert limiter.counters() == {"d_user_a_600": 8, "d_user_b_600": 4, "d_user_c_600": 0}


def test_every_counter_moves_also_when_another_is_over(limiter: Limiter) -> None:
    """One refusal refuses the call, and costs the others all the same."""
    decision = limiter.should_rate_limit("d", [user(4, name="a"), user(2, name="b")])
    assert decision.code == Code.OVER_LIMIT
    assert [status.code for status in decision.statuses] == [Code.OVER_LIMIT, Code.OK]
    assert limiter.counters() == {"d_user_a_600": 4, "d_user_b_600": 2}


def test_counting_goes_on_past_the_limit(limiter: Limiter) -> None:
    """A refused hit is counted too; only zero-cost checks avoid that."""
    for _ in range(5):
        limiter.should_rate_limit("d", [user()])
    assert limiter.counters() == {"d_user_amy_600": 5}


def test_the_same_descriptor_twice_counts_twice(limiter: Limiter) -> None:
    """One after the other, in order."""
    decision = limiter.should_rate_limit("d", [user(2), user(2)])
    assert [status.code for status in decision.statuses] == [Code.OK, Code.OVER_LIMIT]


def test_negative_hits_are_given_back_but_never_below_zero(limiter: Limiter) -> None:
    """A refund of more than was charged leaves an empty counter, not a credit."""
    limiter.should_rate_limit("d", [user(5)])
    assert limiter.should_rate_limit("d", [user(3, refund=True)]).statuses[0].remaining == 1
    assert limiter.counters() == {"d_user_amy_600": 2}
    limiter.should_rate_limit("d", [user(9, refund=True)])
    assert limiter.counters() == {"d_user_amy_600": 0}


def test_a_new_window_begins_empty(limiter: Limiter, clock: Clock) -> None:
    """And the old one is forgotten, so that memory is bounded by what the running windows saw."""
    limiter.should_rate_limit("d", [user(4), Descriptor((("long", "x"),))])
    clock.now += 59.9
    assert limiter.should_rate_limit("d", [user(0)]).code == Code.OVER_LIMIT
    clock.now += 0.1
    assert limiter.counters() == {"d_long_x_0": 1}
    assert limiter.should_rate_limit("d", [user()]).statuses == (Status(Code.OK, THREE, 2, 60),)
    assert limiter.counters() == {"d_long_x_0": 1, "d_user_amy_660": 1}


def held(hits: int, name: str = "amy", key: str = "user") -> Descriptor:
    """A hold of the user's limit, or of another."""
    return Descriptor(((key, name),), hits, hold=True)


def given_back(hits: int, held_at: int | None, key: str = "user") -> Descriptor:
    """Hits of a hold, given back."""
    return Descriptor(((key, "amy"),), hits, is_negative_hits=True, held_at=held_at)


def test_a_hold_is_counted_while_it_fits(limiter: Limiter, clock: Clock) -> None:
    """Up to the limit itself, and the answer says when; the one that does not fit counts nothing."""
    clock.now += 7.9
    fits = limiter.should_rate_limit("d", [held(1)]), limiter.should_rate_limit("d", [held(2)])
    assert [(decision.code, decision.held_at) for decision in fits] == [(Code.OK, 607)] * 2
    over = limiter.should_rate_limit("d", [held(1)])
    assert (over.code, over.held_at) == (Code.OVER_LIMIT, None)
    assert limiter.counters() == {"d_user_amy_600": 3}


def test_no_counter_of_a_refused_hold_moves(limiter: Limiter) -> None:
    """Neither of other holds nor of what is no hold, wherever it stands, and what remains is said of them as they are."""
    limiter.should_rate_limit("d", [user(2)])
    decision = limiter.should_rate_limit(
        "d",
        [held(1), Descriptor((("long", "x"),)), held(4, "ben"), Descriptor((("shadow", "x"),)), held(1, key="none")],
    )
    assert (decision.code, decision.held_at) == (Code.OVER_LIMIT, None)
    assert [status.code for status in decision.statuses] == [Code.OK, Code.OK, Code.OVER_LIMIT, Code.OK, Code.OK]
    assert [status.remaining for status in decision.statuses] == [1, 3, 0, 0, 0]
    assert limiter.counters() == {"d_user_amy_600": 2, "d_long_x_0": 0, "d_user_ben_600": 0, "d_shadow_x_600": 0}


def test_two_holds_of_one_counter_count_together(limiter: Limiter) -> None:
    """Both or neither."""
    assert limiter.should_rate_limit("d", [held(2), held(2)]).code == Code.OVER_LIMIT
    assert limiter.counters() == {"d_user_amy_600": 0}
    assert limiter.should_rate_limit("d", [held(2), held(1)]).code == Code.OK
    assert limiter.counters() == {"d_user_amy_600": 3}


def test_a_charge_goes_past_the_limit_as_ever(limiter: Limiter) -> None:
    """Only holds are all or nothing: what was used is used."""
    limiter.should_rate_limit("d", [held(3)])
    decision = limiter.should_rate_limit("d", [user(4), given_back(0, 600)])
    assert (decision.code, decision.held_at) == (Code.OVER_LIMIT, None)
    assert limiter.counters() == {"d_user_amy_600": 7}


def test_a_hold_is_given_back_to_its_own_window(limiter: Limiter, clock: Clock) -> None:
    """Up to the last moment of it."""
    held_at = limiter.should_rate_limit("d", [held(3)]).held_at
    clock.now = 659.9
    limiter.should_rate_limit("d", [given_back(2, held_at)])
    assert limiter.counters() == {"d_user_amy_600": 1}


@pytest.mark.parametrize("later", [60.0, 119.0, 3600.0, -1.0])
def test_a_hold_is_never_given_back_to_another_window(limiter: Limiter, clock: Clock, later: float) -> None:
    """Neither to the next nor, when a clock is set back, to the one before. A limit whose window still runs has it."""
    held_at = limiter.should_rate_limit("d", [held(3), held(3, key="long")]).held_at
    clock.now += later
    limiter.should_rate_limit("d", [user(2)])
    now = f"d_user_amy_{int(clock.now) // 60 * 60}"
    limiter.should_rate_limit("d", [given_back(2, held_at), given_back(2, held_at, "long")])
    assert (limiter.counters()[now], limiter.counters()["d_long_amy_0"]) == (2, 1)
    limiter.should_rate_limit("d", [given_back(2, None)])
    assert limiter.counters()[now] == 0, "a refund that does not say when is one of now"


def test_what_has_no_limit_is_ok(limiter: Limiter) -> None:
    """No status limit, nothing counted: unknown domains, unknown keys, other depths, no entries."""
    unknown = Descriptor((("other", "x"),))
    deeper = Descriptor((("user", "amy"), ("more", "x")))
    decision = limiter.should_rate_limit("d", [unknown, deeper, Descriptor(())])
    assert decision.code == Code.OK
    assert set(decision.statuses) == {Status(Code.OK)}
    assert limiter.should_rate_limit("e", [user(9)]).statuses == (Status(Code.OK),)
    assert limiter.counters() == {}


def test_unlimited_is_ok_and_not_counted(limiter: Limiter) -> None:
    """Remaining is the largest number that the wire has."""
    decision = limiter.should_rate_limit("d", [Descriptor((("free", "x"),))])
    assert decision.statuses == (Status(Code.OK, None, 2**32 - 1),)
    assert limiter.counters() == {}


def test_a_shadow_counts_and_never_refuses(limiter: Limiter) -> None:
    """Over the limit it says OK with nothing remaining."""
    status = limiter.should_rate_limit("d", [Descriptor((("shadow", "x"),))]).statuses[0]
    assert status == Status(Code.OK, Rate(0, Unit.MINUTE), 0, 60)
    assert limiter.counters() == {"d_shadow_x_600": 1}


def test_an_override_takes_the_place_of_the_configured_rate(limiter: Limiter) -> None:
    """Also where the configuration has none; the domain must be known."""
    other = Descriptor((("any", "x"),), 2, override=Rate(1, Unit.HOUR))
    assert limiter.should_rate_limit("d", [other]).code == Code.OVER_LIMIT
    assert limiter.counters() == {"d_any_x_0": 2}
    assert limiter.should_rate_limit("e", [other]).code == Code.OK


@pytest.mark.parametrize(
    ("domain", "descriptors", "message"),
    [
        ("", [user()], "domain must not be empty"),
        ("d", [], "descriptor list must not be empty"),
        ("d", [user(2**63)], "hits must be between"),
        ("d", [user(-1)], "hits must be between"),
    ],
)
def test_a_call_that_makes_no_sense_is_an_error(
    limiter: Limiter, domain: str, descriptors: list[Descriptor], message: str
) -> None:
    """And counts nothing."""
    with pytest.raises(RequestError, match=message):
        limiter.should_rate_limit(domain, descriptors)
    assert limiter.counters() == {}


def test_a_counter_stops_at_its_highest_value(limiter: Limiter) -> None:
    """It never wraps around into a fresh limit."""
    for _ in range(2):
        assert limiter.should_rate_limit("d", [user(2**63 - 1)]).code == Code.OVER_LIMIT
    assert limiter.counters() == {"d_user_amy_600": 2**63 - 1}


def test_reset_forgets_every_count(limiter: Limiter) -> None:
    """For tests that share a service."""
    limiter.should_rate_limit("d", [user()])
    limiter.reset()
    assert limiter.counters() == {}


def test_holds_never_pass_the_limit_among_threads(clock: Clock) -> None:
    """Eight threads hold 30 of 100 each, many times, and give back what they got: never more than three at once."""
    limiter = Limiter(
        [parse(CONFIG.replace("requests_per_unit: 3, name: three", "requests_per_unit: 100"), "t")], clock
    )
    most = []

    def hold_and_give_back(_: int) -> bool:
        held_at = limiter.should_rate_limit("d", [held(30)]).held_at
        if held_at is None:
            return False
        most.append(limiter.counters()["d_user_amy_600"])
        limiter.should_rate_limit("d", [given_back(30, held_at)])
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(hold_and_give_back, range(2000))) == len(most) > 0
    assert max(most) <= 90
    assert limiter.counters() == {"d_user_amy_600": 0}


def test_no_hit_is_lost_among_threads(limiter: Limiter) -> None:
    """Eight threads, and the sum of what they added."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: limiter.should_rate_limit("d", [user()]), range(4000)))
    assert limiter.counters() == {"d_user_amy_600": 4000}
