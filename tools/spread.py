"""What several runs of one measure say."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import NamedTuple


class Spread(NamedTuple):
    """Median, least and most."""

    median: float
    least: float
    most: float


def spread(values: Sequence[float]) -> Spread:
    """Of at least one value.

    Raises:
        statistics.StatisticsError: there is none.
    """
    return Spread(statistics.median(values), min(values), max(values))
