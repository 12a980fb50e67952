"""Counters that outlive an edit: what becomes of them when a policy takes another's place.

The rate limit service keeps a counter under the descriptor that it is sent. Envoy Gateway names a
limit there by its place among the limits and by what its selectors look like; a plain Envoy by the
limit's id, which says what it counts. So there an edit can give a limit the tokens that another
has counted, or let it count from zero in the middle of a window.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from llmroute import codes
from llmroute.diagnostic import Diagnostic, Severity
from llmroute.encoding import in_words
from llmroute.lower import DEFAULT_NAMESPACE
from llmroute.plan import Backend, Limit, Match, Plan, Route, Token, Weights
from llmroute.settlement import prepays
from llmroute.targets import Capabilities

Key = tuple[object, ...]
"""Equal for two limits that share a counter, one before and one after an edit."""
_AGAIN: Final = re.compile(r"-\d+$")
"""After the id of a limit that counts the same as one before it."""


@dataclass(frozen=True, slots=True)
class _Meaning:
    """What a counter has counted: equal ones may go on with each other's number."""

    id: str
    counts: Token | Weights


def moved(old: Plan, new: Plan, target: Capabilities) -> tuple[Diagnostic, ...]:
    """A warning for each limit of ``new`` that would go on with another's counter, or leave its own behind.

    Pure; a route that is in one of the plans only has nothing to say.
    """
    before = {name_of(route): route for route in old.routes}
    pairs = ((before[name_of(route)], route) for route in new.routes if name_of(route) in before)
    return tuple(finding for one, two in pairs for finding in _of_route(one, two, target))


def name_of(route: Route) -> tuple[str, str]:
    """Namespace and name: what makes a route the same before and after an edit."""
    return route.namespace or DEFAULT_NAMESPACE, route.name


def _of_route(old: Route, new: Route, target: Capabilities) -> Iterator[Diagnostic]:
    before, after = _counters(old, target), _counters(new, target)
    known = {_meaning(limit): limit for limit in reversed(list(before.values()))}
    kept = {_meaning(limit) for limit in after.values()}
    for key, limit in after.items():
        there, own = before.get(key), known.get(_meaning(limit))
        if there and _meaning(there) == _meaning(limit):
            continue
        if there and not own and _meaning(there) not in kept and there.id == limit.id:
            continue  # the same limit with other weights
        if there:
            yield _handed_over(there, limit, target)
        elif own:
            yield _lost(own, limit, target)


def _counters(route: Route, target: Capabilities) -> Mapping[Key, Limit]:
    limits = list(route.limits())
    if not target.counts_by_place:
        return {(limit.id,): limit for _, limit in limits}
    return {by_place(i, route, backend, limit): limit for i, (backend, limit) in enumerate(limits)}


def by_place(index: int, route: Route, backend: Backend | None, limit: Limit) -> Key:
    """Of a fixed selector the service learns only that it matched, of a Distinct one the value.

    That of another header is another counter: a user is not called like a model. The window is part of
    the key: a counter is kept under its beginning, so a limit with another window does not find it.
    """
    shape = [s.header if s.match is Match.DISTINCT else None for s in limit.selectors]
    if route.tells(backend):
        shape.insert(0, None)  # the backend's own selector
    if prepays(route, limit):
        shape.append(None)  # that of what the filter has admitted itself
    return (index, limit.unit, *shape)


def _meaning(limit: Limit) -> _Meaning:
    return _Meaning(_AGAIN.sub("", limit.id), limit.counts)


def _handed_over(old: Limit, new: Limit, target: Capabilities) -> Diagnostic:
    message = (
        f"{in_words(new)} would go on with the counter of {in_words(old)} at {old.origin}: "
        f"the rate limit service takes the one for the other"
    )
    return Diagnostic(codes.COUNTER_HANDED_OVER, new.origin, message, _hint(target), Severity.WARNING)


def _lost(old: Limit, new: Limit, target: Capabilities) -> Diagnostic:
    message = f"{in_words(new)}, before at {old.origin}, would count from zero: its counter stays behind"
    return Diagnostic(codes.COUNTER_LOST, new.origin, message, _hint(target), Severity.WARNING)


def _hint(target: Capabilities) -> str:
    if target.counts_by_place:
        return "add limits after all others, and let one that is to go stay in its place with shadow: true"
    return "keep limits that count the same in their order"
