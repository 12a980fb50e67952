"""Limits that another makes idle: it is always reached first, or it counts the same.

One limit is always reached before another when it counts every request of the other one's, to one counter wherever the
other has one, and refuses no later (``order``).
"""

from __future__ import annotations

from collections.abc import Iterator

from llmroute import codes
from llmroute.check.order import never_later
from llmroute.diagnostic import Diagnostic, Severity
from llmroute.encoding import in_words
from llmroute.matching import takes
from llmroute.plan import Backend, Limit, Match, Route, Selector

_Placed = tuple[Backend | None, Limit]


def check(route: Route) -> Iterator[Diagnostic]:
    """One finding for a limit at most, against the first such other. A shadow refuses nothing and is left out."""
    placed = [each for each in route.limits() if not each[1].shadow]
    for index, one in enumerate(placed):
        others = [(place, other) for place, other in enumerate(placed) if place != index]
        twin = next((other for place, other in others if place < index and _same(route, other, one)), None)
        first = next(
            (other for _, other in others if _before(route, other, one) and not _same(route, other, one)), None
        )
        if twin:
            yield _twice(one[1], twin[1])
        elif first:
            yield _shadowed(one[1], first[1])


def _same(route: Route, one: _Placed, other: _Placed) -> bool:
    """Whether their counters always say the same number."""
    alike = (one[1].kind, one[1].counts, one[1].unit) == (other[1].kind, other[1].counts, other[1].unit)
    return alike and _covers(route, one, other) and _covers(route, other, one)


def _before(route: Route, one: _Placed, other: _Placed) -> bool:
    """Whether ``one`` refuses whatever ``other`` would refuse."""
    return _covers(route, one, other) and never_later(one[1], other[1])


def _covers(route: Route, one: _Placed, other: _Placed) -> bool:
    """Whether ``one`` applies to all requests of ``other``, and has one counter wherever that has one."""
    here = one[0] is other[0] or not route.tells(one[0])
    return here and all(_implied(selector, other[1].selectors) for selector in one[1].selectors)


def _implied(wanted: Selector, by: tuple[Selector, ...]) -> bool:
    same = [selector for selector in by if selector.header == wanted.header]
    fixed = [selector.value or "" for selector in same if selector.match is Match.EXACT]
    if wanted.match is Match.DISTINCT:
        return bool(fixed) or any(selector.match is Match.DISTINCT for selector in same)
    alike = any((selector.match, selector.value) == (wanted.match, wanted.value) for selector in same)
    return alike or any(takes(wanted, value) for value in fixed)


def _shadowed(limit: Limit, first: Limit) -> Diagnostic:
    message = (
        f"{in_words(limit)} are never used up before {in_words(first)} ({first.origin}), "
        f"which hold for the same requests"
    )
    hint = "remove it, or lower its quantity; with shadow: true it only counts"
    return Diagnostic(codes.SHADOWED, limit.origin, message, hint, Severity.WARNING)


def _twice(limit: Limit, twin: Limit) -> Diagnostic:
    message = (
        f"this counts the same as {in_words(twin)} ({twin.origin}): of two equal counters the lower quantity decides"
    )
    hint = "keep the lower one; a second with shadow: true tries a quantity out"
    return Diagnostic(codes.COUNTED_TWICE, limit.origin, message, hint, Severity.WARNING)
