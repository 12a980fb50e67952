"""The windows of limits: when they began, and cases kept clear of their ends where the clock is the machine's."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Final

from llmroute.plan import Unit

NEEDED: Final = 10.0
"""Seconds of the same window that a case needs."""
_STEP: Final = 0.1
"""Seconds between two looks at the clock."""


def window_start(now: float, unit: Unit) -> int:
    """When the window that runs at ``now`` began."""
    return int(now // unit.seconds * unit.seconds)


def clear_of_window_ends(units: Collection[Unit], now: float) -> bool:
    """Whether every window of ``units`` that is long enough for a case goes on for as long as one needs."""
    lengths = (unit.seconds for unit in units if unit.seconds > 2 * NEEDED)
    return all(length - now % length >= NEEDED for length in lengths)


def wait_until_clear(units: Collection[Unit]) -> None:
    """Wait past the ends of windows that are near: for ``NEEDED`` seconds at the most, as all end together."""
    while not clear_of_window_ends(units, time.time()):
        time.sleep(_STEP)
