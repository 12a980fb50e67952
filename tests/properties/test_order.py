"""Which of two limits refuses first, as ``check`` and ``diff`` say it, held against the reference of what limits mean."""

from __future__ import annotations

import itertools
from typing import Literal

from hypothesis import given
from hypothesis import strategies as st

from llmroute.check.order import never_later
from llmroute.diagnostic import Origin
from llmroute.limiter import window
from llmroute.limiter.semantics import PolicyLimit, ReferenceLimiter
from llmroute.plan import Kind, Limit, Token, Unit

UNITS = (Unit.SECOND, Unit.MINUTE, Unit.HOUR, Unit.WEEK, Unit.MONTH)


def limit(quantity: int, unit: Unit, kind: Kind = Kind.TOKENS, counts: Token = Token.TOTAL) -> Limit:
    """One without selectors."""
    return Limit("x", kind, quantity, unit, (), Origin("x"), counts)


LIMITS = [limit(*each) for each in itertools.product((0, 1, 4, 9), UNITS, Kind, Token)]
ORDERED = [pair for pair in itertools.product(LIMITS, repeat=2) if never_later(*pair)]
STEPS = st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 6), st.integers(0, 6), st.booleans()), max_size=40)
"""Seconds that pass, tokens of prompt and of completion, and whether another limit refuses."""


def policy_limit(limit: Limit, subject: str) -> PolicyLimit:
    """In the reference's words."""
    kind: Literal["Request", "Token"] = "Request" if limit.kind is Kind.REQUESTS else "Token"
    return PolicyLimit(subject, kind, limit.quantity, window.Unit[limit.unit.name])


def counted(limit: Limit, prompt: int, completion: int) -> int:
    """What an answer costs."""
    assert isinstance(limit.counts, Token)
    return {Token.TOTAL: prompt + completion, Token.PROMPT: prompt, Token.COMPLETION: completion}[limit.counts]


def admits_later(one: Limit, other: Limit, steps: list[tuple[int, int, int, bool]]) -> bool:
    """Whether ``other`` ever refuses a request that ``one`` admits. Both count; a refusal moves request counters."""
    now = 0.0
    limiter = ReferenceLimiter(lambda: now, refused_count_as_requests=True)
    first, second = policy_limit(one, "one"), policy_limit(other, "other")
    for seconds, prompt, completion, refused in steps:
        now += seconds
        open_to = [limiter.used(limit) < limit.quantity for limit in (first, second)]
        if open_to == [True, False]:
            return True
        limiter.admit([first, second])
        if all(open_to) and not refused:
            limiter.charge([first], counted(one, prompt, completion))
            limiter.charge([second], counted(other, prompt, completion))
    return False


@given(st.sampled_from(ORDERED), STEPS)
def test_a_limit_that_is_never_later(pair: tuple[Limit, Limit], steps: list[tuple[int, int, int, bool]]) -> None:
    """Nothing that comes makes the other one refuse alone."""
    assert not admits_later(*pair, steps)


NOT_FIRST = [
    (limit(2, Unit.MINUTE), limit(120, Unit.HOUR), [(0, 60, 61, False), (60, 0, 0, False)]),
    (limit(1, Unit.MINUTE, Kind.REQUESTS), limit(60, Unit.HOUR, Kind.REQUESTS), [(0, 0, 0, False)] * 60 + [(60, 0, 0, False)]),
    (limit(5, Unit.MONTH), limit(5, Unit.WEEK), [(30 * 86400 - 10, 5, 0, False), (10, 0, 0, False)]),
    (limit(5, Unit.HOUR), limit(4, Unit.HOUR), [(0, 4, 0, False), (0, 0, 0, False)]),
    (limit(5, Unit.HOUR, counts=Token.PROMPT), limit(5, Unit.HOUR), [(0, 0, 5, False), (0, 0, 0, False)]),
]  # fmt: skip


def test_what_looks_like_it_and_is_not() -> None:
    """Shorter windows (overshoot, refused requests), weeks in months, less that is counted: each has its counterexample."""
    for one, other, steps in NOT_FIRST:
        assert not never_later(one, other)
        assert admits_later(one, other, steps), (one, other)
