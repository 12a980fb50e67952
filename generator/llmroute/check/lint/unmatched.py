"""Rules that no request can match."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from llmroute import codes, names
from llmroute.diagnostic import Diagnostic, Severity
from llmroute.matching import takes
from llmroute.plan import Match, Route, Selector


def check(route: Route) -> Iterator[Diagnostic]:
    """One finding for a rule, at the selector that cannot hold."""
    rules = dict.fromkeys(limit.selectors for _, limit in route.limits())
    for selectors in rules:
        found = next(_impossible(route, selectors), None)
        if found:
            selector, message = found
            hint = "correct it, or remove the rule: its limits never hold"
            yield Diagnostic(codes.NEVER_MATCHES, selector.origin, message, hint, Severity.WARNING)


def _impossible(route: Route, selectors: tuple[Selector, ...]) -> Iterator[tuple[Selector, str]]:
    for one, two in combinations(selectors, 2):
        if one.header == two.header and _contradict(one, two):
            yield two, f"{two.header} cannot match {two.value!r} and {one.value!r} ({one.origin}) at once"
    for selector in selectors:
        if selector.match is Match.EXACT and selector.value is not None:
            reason = _never_has(route, selector.header, selector.value)
            if reason:
                yield selector, f"no request has this {selector.header}: {reason}"


def _contradict(one: Selector, two: Selector) -> bool:
    """Of two expressions nobody knows."""
    pairs = ((one, two), (two, one))
    return any(fixed.match is Match.EXACT and not takes(other, fixed.value or "") for fixed, other in pairs)


def _never_has(route: Route, header: str, value: str) -> str:
    """Why a request cannot have ``value``; an empty string where it can."""
    if header == names.MODEL_HEADER and len(value.encode()) > names.MAX_MODEL_BYTES:
        return f"a model of more than {names.MAX_MODEL_BYTES} bytes is {names.UNKNOWN}"
    api_key = route.identity.api_key
    # Of several Secrets some may be in the cluster only, with clients that the input does not show.
    known = dict(api_key.clients) if api_key and len(api_key.secrets) == 1 else {}
    if header == route.identity.header and known and value not in known:
        return f"the user is a client of the API keys, and these are {', '.join(sorted(known))}"
    return ""
