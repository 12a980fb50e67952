"""How the filter charges an answer itself: which counters there are, when they apply, and whom to ask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from llmroute import names
from llmroute.emit import eg_names
from llmroute.emit.charges import metadata_key
from llmroute.emit.envoy_rate_limits import Entry, chain
from llmroute.emit.ratelimit_config import domain
from llmroute.plan import Backend, Limit, Match, Route
from llmroute.settlement import books, due_key, holds, paid_key, refund_key

_TIMEOUT_MS: Final = 1000
"""As long as a check may take: a client waits no longer for the end of its answer than for its beginning."""
_Entries = Callable[[int, Backend | None, Limit], list[Entry]]


def on_envoy(route: Route, cluster: str) -> dict[str, Any] | None:
    """For a plain Envoy; None when the filter charges nothing of ``route``."""
    return _settle(route, cluster, domain, lambda _, __, limit: chain(limit))


def on_gateway(route: Route) -> dict[str, Any] | None:
    """For Envoy Gateway, by the names that it gives."""
    return _settle(
        route,
        eg_names.CLUSTER,
        eg_names.domain,
        lambda index, backend, limit: eg_names.entries(route, index, backend, limit),
    )


def _settle(route: Route, cluster: str, domain_of: Callable[[Route], str], entries: _Entries) -> dict[str, Any] | None:
    limits = [
        _limit(route, backend, limit, entries(index, backend, limit))
        for index, (backend, limit) in enumerate(route.limits())
        if books(route, limit)
    ]
    if not limits:
        return None
    read = [one["header"] for limit in limits for one in (*limit["match"], *limit["entries"]) if "header" in one]
    return {
        "cluster": cluster,
        "domain": domain_of(route),
        "timeoutMs": _TIMEOUT_MS,
        "headers": list(dict.fromkeys(read)),
        "limits": limits,
    }


def _limit(route: Route, backend: Backend | None, limit: Limit, entries: list[Entry]) -> dict[str, Any]:
    match = [{"header": s.header, "value": s.value} for s in limit.selectors if s.match is Match.EXACT]
    if backend and route.tells(backend):
        match.insert(0, {"header": names.BACKEND_HEADER, "value": backend.name})
    # The entries that take the request's value are those of the Distinct selectors, in the same order.
    distinct = iter([s.header for s in limit.selectors if s.match is Match.DISTINCT])
    held = {"paid": paid_key(route, limit), "refund": refund_key(route, limit)} if holds(route, limit) else {}
    return {
        "due": due_key(route, limit),
        "key": metadata_key(route, limit),
        **held,
        "match": match,
        "entries": [
            {"key": key, "header": next(distinct)} if value is None else {"key": key, "value": value}
            for key, value in entries
        ],
    }
