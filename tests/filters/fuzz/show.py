"""A divergence, as a person needs it to see what is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.filters.fuzz.engine import Outcome, metadata
from tests.filters.fuzz.run import Divergence


def show(found: Divergence) -> Iterator[str]:
    """Line by line: the case, and what differs."""
    case, expected, outcome = found.case, found.expected, found.outcome
    before = {key: value for key, value in case.known.items() if value not in (0, "none")}
    yield f"{case.target}: {found.what}"
    yield f"  headers  {dict(case.headers)}"
    yield f"  route    {case.context}, metadata before it {before}"
    yield f"  pieces   {_short(case.pieces)}" + (f", watched after {case.watched}" if case.watched else "")
    if expected.body != outcome.body:
        yield f"  bytes    expected {_short(expected.body)}"
        yield f"           were     {_short(outcome.body)}"
    end = metadata(expected.metadata) if isinstance(expected, Outcome) else expected.metadata
    yield from _differences("at the end", end, metadata(outcome.metadata))
    if isinstance(expected.middle, dict):
        yield from _differences("on the way", expected.middle, metadata(outcome.middle))


def _short(shown: object) -> str:
    """Without what makes an event longer than the cap."""
    return re.sub(r"([py])\1{500,}", lambda run: f"({run[1]} {len(run[0])} times)", repr(shown))


def _differences(when: str, expected: dict[str, str], were: dict[str, str]) -> Iterator[str]:
    for key in sorted({*expected, *were}):
        if expected.get(key) != were.get(key):
            yield f"  {key}, {when}: expected {expected.get(key)}, was {were.get(key)}"
