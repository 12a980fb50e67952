"""Fixed windows: how long a unit lasts, which window a moment lies in, and when that ends.

Windows are aligned to the Unix epoch, in whole seconds, as envoyproxy/ratelimit has them
(``src/utils/utilities.go``): a week begins on a Thursday, a month is 30 days, a year 365.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from typing import Final

Clock = Callable[[], float]
"""Says what time it is, in Unix seconds; ``time.time`` is one."""


class Unit(enum.IntEnum):
    """Length of a window. The numbers are those of ``RateLimitResponse.RateLimit.Unit`` on the wire."""

    SECOND = 1
    MINUTE = 2
    HOUR = 3
    DAY = 4
    MONTH = 5
    YEAR = 6
    WEEK = 7

    @property
    def seconds(self) -> int:
        """How long the window lasts."""
        return _SECONDS[self]


_DAY: Final = 24 * 60 * 60
_SECONDS: Final[Mapping[Unit, int]] = {
    Unit.SECOND: 1,
    Unit.MINUTE: 60,
    Unit.HOUR: 60 * 60,
    Unit.DAY: _DAY,
    Unit.WEEK: 7 * _DAY,
    Unit.MONTH: 30 * _DAY,
    Unit.YEAR: 365 * _DAY,
}


def window_start(unit: Unit, now: float) -> int:
    """First second of the window that ``now`` lies in; both in Unix seconds."""
    return int(now) // unit.seconds * unit.seconds


def until_reset(unit: Unit, now: float) -> int:
    """Seconds from ``now`` to the next window: at least 1, the whole length on a window's first second."""
    return unit.seconds - int(now) % unit.seconds
