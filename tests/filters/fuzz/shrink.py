"""Makes a diverging case small: fewer cuts, fewer bytes, less around it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from tests.filters.fuzz.engine import Case

MOST_TRIES: Final = 4000

Diverges = Callable[[Case], bool]


def shrink(case: Case, diverges: Diverges) -> Case:
    """The smallest case on the way that still diverges."""
    tries = 0
    again = True
    while again and tries < MOST_TRIES:
        again = False
        for smaller in _smaller(case):
            tries += 1
            if smaller.watched < len(smaller.pieces) and diverges(smaller):
                case, again = smaller, True
                break
            if tries >= MOST_TRIES:
                break
    return case


def _smaller(case: Case) -> Iterator[Case]:
    if len(case.pieces) > 1:
        yield case.cut(case.body)
        for at in range(len(case.pieces) - 1):
            joined = (*case.pieces[:at], case.pieces[at] + case.pieces[at + 1], *case.pieces[at + 2 :])
            watched = case.watched - 1 if case.watched > at + 1 else case.watched
            yield case.cut(*joined, watched=watched)
    if case.watched:
        yield case.cut(*case.pieces)
    if case.policy:
        yield replace(case, policy=0)
    for name in case.known.keys() & {"forced_usage", "unestimated"}:
        yield replace(case, known={key: value for key, value in case.known.items() if key != name})
    for index, piece in enumerate(case.pieces):
        for less in _less(piece):
            yield case.cut(*case.pieces[:index], less, *case.pieces[index + 1 :], watched=case.watched)


def _less(piece: bytes) -> Iterator[bytes]:
    size = len(piece)
    while size:
        for at in range(0, len(piece), size):
            yield piece[:at] + piece[at + size :]
        size //= 2
