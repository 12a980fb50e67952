"""Holds, charges and refunds in any order and across windows: nothing passes a limit but what is beyond a hold."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import hypothesis.strategies as st
from hypothesis import given

from llmroute.limiter import Code, Descriptor, Limiter, Unit, parse

UNITS = (Unit.SECOND, Unit.MINUTE, Unit.HOUR)
QUANTITY = 20
RATES = [
    f"{{key: limit, value: {unit.name}, rate_limit: {{unit: {unit.name}, requests_per_unit: {QUANTITY}}}}}"
    for unit in UNITS
]
CONFIG = f"domain: d\ndescriptors: [{', '.join(RATES)}]"


@dataclass(frozen=True)
class Begin:
    """A request that holds so much of each limit."""

    holds: tuple[int, int, int]


@dataclass(frozen=True)
class End:
    """An answer that ends, among those in flight; what it took beside its hold is ``more`` (or less than it)."""

    which: int
    more: int


@dataclass(frozen=True)
class Wait:
    """Time that passes, in seconds."""

    seconds: float


TRAFFIC = st.lists(
    st.one_of(
        st.builds(Begin, st.tuples(*[st.integers(1, 12)] * 3)),
        st.builds(End, st.integers(0, 9), st.integers(-12, 4)),
        st.builds(Wait, st.sampled_from([0.5, 1.0, 20.0, 60.0, 3600.0])),
    ),
    max_size=50,
)
Window = tuple[Unit, int]


class Traffic:
    """The service as Envoy asks it, and beside it what each window should count."""

    def __init__(self) -> None:
        self.now = 1e9 + 0.25
        self.limiter = Limiter([parse(CONFIG, "test")], lambda: self.now)
        self.counts: Counter[Window] = Counter()
        self.beyond: Counter[Window] = Counter()
        self.flights: list[tuple[tuple[int, int, int], int]] = []

    def window(self, unit: Unit, at: float) -> Window:
        """The one that runs at this time."""
        return unit, int(at // unit.seconds) * unit.seconds

    def begin(self, holds: tuple[int, int, int]) -> None:
        """Ask; what is admitted is what fits, and what is refused moves nothing."""
        fits = all(self.counts[self.window(u, self.now)] + n <= QUANTITY for u, n in zip(UNITS, holds, strict=True))
        asked = [Descriptor((("limit", u.name),), n, hold=True) for u, n in zip(UNITS, holds, strict=True)]
        decision = self.limiter.should_rate_limit("d", asked)
        assert (decision.code is Code.OK, decision.held_at is not None) == (fits, fits)
        if decision.held_at is not None:
            self.flights.append((holds, decision.held_at))
            for unit, n in zip(UNITS, holds, strict=True):
                self.counts[self.window(unit, self.now)] += n

    def end(self, holds: tuple[int, int, int], held_at: int, more: int) -> None:
        """Charge what is beyond, give back what is left."""
        calls = []
        for unit, n in zip(UNITS, holds, strict=True):
            due, refund = max(0, more), min(n, max(0, -more))
            now, then = self.window(unit, self.now), self.window(unit, held_at)
            self.counts[now] += due
            self.beyond[now] += due
            self.counts[then] -= refund if now == then else 0
            entries = (("limit", unit.name),)
            calls += [Descriptor(entries, due), Descriptor(entries, refund, is_negative_hits=True, held_at=held_at)]
        self.limiter.should_rate_limit("d", calls)


@given(TRAFFIC)
def test_every_window_counts_what_was_held_and_used_in_it(events: list[Begin | End | Wait]) -> None:
    """To the token; and past the quantity is only what answers took beyond their holds."""
    traffic = Traffic()
    for event in events:
        match event:
            case Begin(holds):
                traffic.begin(holds)
            case End(which, more) if traffic.flights:
                traffic.end(*traffic.flights.pop(which % len(traffic.flights)), more)
            case Wait(seconds):
                traffic.now += seconds
        running = traffic.limiter.counters()
        for unit in UNITS:
            window = traffic.window(unit, traffic.now)
            assert running.get(f"d_limit_{unit.name}_{window[1]}", 0) == traffic.counts[window]
            assert traffic.counts[window] <= QUANTITY + traffic.beyond[window]
