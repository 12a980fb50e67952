"""Counters as they stand, told by limit and by the values that they count apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from llmroute.explain.counters import Counter, counters
from llmroute.limiter import window
from llmroute.plan import Route
from llmroute.targets import Capabilities


@dataclass(frozen=True, slots=True)
class Live:
    """One counter of the running window. ``values`` are those of the Distinct headers, ``reset`` is in seconds."""

    counter: Counter
    values: Mapping[str, str]
    key: str
    used: int
    reset: int

    @property
    def left(self) -> int:
        """What is left of the quantity; 0 and less is nothing."""
        return max(0, self.counter.limit.quantity - self.used)

    @property
    def state(self) -> str:
        """What becomes of the next request: ``open`` or ``refused``; of a shadow, what would become of it."""
        refuses = self.used >= self.counter.limit.quantity
        if self.counter.limit.shadow:
            return "would refuse" if refuses else "open"
        return "refused" if refuses else "open"


def live(route: Route, target: Capabilities, found: Mapping[str, int], now: float) -> Iterator[Live]:
    """The counters of ``route`` among ``found`` (hits by key) in the windows that ``now`` (Unix seconds) lies in.

    In the order of the limits, then of the values. A counter that nobody has moved yet is not there.
    """
    for counter in counters(route, target):
        unit = window.Unit[counter.limit.unit.name]
        start, reset = window.window_start(unit, now), window.until_reset(unit, now)
        for key in sorted(found):
            values = counter.values(key, start)
            if values is not None:
                yield Live(counter, values, key, found[key], reset)
