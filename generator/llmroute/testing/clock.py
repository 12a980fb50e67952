"""The time by which a test's windows turn."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Final

from llmroute.conformance.adapters.stack import Timed
from llmroute.limiter.window import Unit

_DAYS: Final = 15_330
"""A day on which every window begins: divisible by 7 (a week), 30 (a month) and 365 (a year)."""
BEGIN: Final = float(_DAYS * Unit.DAY.seconds)
"""When each test begins, in Unix seconds: the first second of every window."""


@dataclass(frozen=True, slots=True)
class Clock:
    """Of the rate limit service. It stands still until a test moves it, and begins where every window begins."""

    _timed: Timed

    @property
    def now(self) -> dt.datetime:
        """What time it is, in UTC."""
        return dt.datetime.fromtimestamp(self._timed.now, dt.UTC)

    def advance(
        self, *, seconds: float = 0, minutes: float = 0, hours: float = 0, days: float = 0, weeks: float = 0
    ) -> None:
        """Let so much time pass. What is under way is charged to the window in which it ends.

        Raises:
            ValueError: the time would go back.
        """
        passed = dt.timedelta(seconds=seconds, minutes=minutes, hours=hours, days=days, weeks=weeks).total_seconds()
        if passed < 0:
            raise ValueError(f"the clock cannot go back by {-passed:g} seconds")
        self._timed.now += passed

    def __repr__(self) -> str:
        return f"<Clock {self.now:%Y-%m-%d %H:%M:%S}>"
