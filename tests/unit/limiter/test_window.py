"""Fixed windows: lengths, alignment, and the seconds until the next one."""

from __future__ import annotations

import pytest

from llmroute.limiter.window import Unit, until_reset, window_start

DAY = 24 * 60 * 60


@pytest.mark.parametrize(
    ("unit", "seconds"),
    [
        (Unit.SECOND, 1),
        (Unit.MINUTE, 60),
        (Unit.HOUR, 3600),
        (Unit.DAY, DAY),
        (Unit.WEEK, 7 * DAY),
        (Unit.MONTH, 30 * DAY),
        (Unit.YEAR, 365 * DAY),
    ],
)
def test_every_unit_has_the_length_that_the_real_service_gives_it(unit: Unit, seconds: int) -> None:
    """A month is 30 days and a year 365, whatever the calendar says."""
    assert unit.seconds == seconds


@pytest.mark.parametrize("unit", Unit)
def test_windows_are_aligned_to_the_epoch(unit: Unit) -> None:
    """A window starts at a multiple of its length, and the moment before belongs to the one before."""
    start = 100 * unit.seconds
    assert window_start(unit, start) == start
    assert window_start(unit, start + unit.seconds - 0.001) == start
    assert window_start(unit, start - 0.001) == start - unit.seconds


def test_reset_counts_down_to_the_next_window() -> None:
    """On the first second the whole length is left, on the last one 1; never 0."""
    assert until_reset(Unit.MINUTE, 120.0) == 60
    assert until_reset(Unit.MINUTE, 179.999) == 1
    assert until_reset(Unit.SECOND, 7.5) == 1
