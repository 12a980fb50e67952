"""Who a limit is for: headers that nobody has verified."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from llmroute import codes, names
from llmroute.diagnostic import Diagnostic, Severity
from llmroute.plan import Match, Route, Selector

_VERIFY: Final = "have it set by a proxy in front that knows"


def check(route: Route) -> Iterator[Diagnostic]:
    """One finding for a header, at the first selector that matters most."""
    for header in dict.fromkeys(selector.header for selector in _believed(route)):
        selectors = [selector for selector in _believed(route) if selector.header == header]
        open_ended = next((s for s in selectors if s.match is Match.DISTINCT), None)
        if open_ended and header != route.identity.header:
            yield _unbounded(open_ended)
        else:
            yield _unverified(selectors[0], of_the_user=header == route.identity.header)


def _believed(route: Route) -> Iterator[Selector]:
    """Selectors on what a client says: neither the filter nor another one sets the header."""
    set_for_it = {names.MODEL_HEADER, *(header.header for header in route.metadata_headers)}
    if route.identity.jwt or route.identity.api_key:
        set_for_it.add(route.identity.header)
    for _, limit in route.limits():
        yield from (selector for selector in limit.selectors if selector.header not in set_for_it)


def _unverified(selector: Selector, *, of_the_user: bool) -> Diagnostic:
    message = f"{selector.header} is believed as the client sends it: another value is another limit, or none"
    hint = f"say spec.identity, or {_VERIFY}" if of_the_user else f"match a claim in metadata, or {_VERIFY}"
    return Diagnostic(codes.UNVERIFIED, selector.origin, message, hint, Severity.NOTE)


def _unbounded(selector: Selector) -> Diagnostic:
    message = (
        f"each value of {selector.header} has a counter of its own, and a client can send any: "
        f"a new value begins at zero, and the rate limit service keeps them all for a window"
    )
    hint = f"match a claim in metadata, count by the user, or {_VERIFY}"
    return Diagnostic(codes.UNBOUNDED_KEYS, selector.origin, message, hint, Severity.WARNING)
