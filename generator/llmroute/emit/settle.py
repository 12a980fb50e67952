"""The calls that the filter makes itself: which counters there are, when they apply, and whom to ask.

Two parts of the filter context, each only where the policy asks for it: ``settle``, by which an answer is charged
before it ends, and ``prepay``, by which a request is admitted and its prompt booked.

Where the proxy cannot read what the filter says, ``settle`` has all limits that an answer charges: the filter charges
the ``rest``, too, when the stream is done, or all of it then (``late``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from llmroute import names
from llmroute.emit import eg_names
from llmroute.emit.charges import metadata_key
from llmroute.emit.envoy_rate_limits import Entry, chain
from llmroute.emit.filter_context import Calls, place_among_told
from llmroute.emit.ratelimit_config import domain
from llmroute.encoding import encode
from llmroute.plan import Backend, Limit, Match, Route, Settle
from llmroute.settlement import books, by_usage, due_key, holds, owes, paid_key, prepays, refund_key

_TIMEOUT_MS: Final = 1000
"""As long as a check may take: a client waits no longer for the end of its answer than for its beginning."""
_Entries = Callable[[int, Backend | None, Limit], list[Entry]]
_Limits = list[tuple[Limit, dict[str, Any]]]
"""With what the filter is told of each for any call: ``match`` and ``entries``."""


def on_envoy(route: Route, cluster: str) -> Calls:
    """For a plain Envoy."""
    return _calls(route, cluster, domain, lambda _, __, limit: chain(limit))


def on_gateway(route: Route, *, alone: bool = False) -> Calls:
    """For Envoy Gateway, by the names that it gives. ``alone``: nobody but the filter charges answers."""
    calls = _calls(
        route,
        eg_names.CLUSTER,
        eg_names.domain,
        lambda index, backend, limit: eg_names.entries(route, index, backend, limit),
        by_usage if alone else books,
    )
    if alone and "settle" in calls:
        calls["settle"] |= {"rest": True} | ({} if route.admission.settle is Settle.SYNC else {"late": True})
    return calls


def _calls(
    route: Route,
    cluster: str,
    domain_of: Callable[[Route], str],
    entries: _Entries,
    charged: Callable[[Route, Limit], bool] = books,
) -> Calls:
    limits = [
        (limit, _counter(route, backend, limit, entries(index, backend, limit)))
        for index, (backend, limit) in enumerate(route.limits())
        if charged(route, limit) or prepays(route, limit)
    ]
    if not limits:
        return {}
    service = {"cluster": cluster, "domain": domain_of(route), "timeoutMs": _TIMEOUT_MS}
    booked = [(limit, counter) for limit, counter in limits if charged(route, limit)]
    parts = {"settle": _settle(route, booked), "prepay": _prepay(route, limits)}
    return {name: service | part for name, part in parts.items() if part["limits"]}


def _settle(route: Route, booked: _Limits) -> dict[str, Any]:
    read = _headers(counter for _, counter in booked)
    return {
        "headers": list(dict.fromkeys(read)),
        "limits": [_due(route, limit) | counter for limit, counter in booked],
    }


def _prepay(route: Route, limits: _Limits) -> dict[str, Any]:
    checked = [(limit, counter) for limit, counter in limits if prepays(route, limit)]
    return {
        "header": names.PREPAID_HEADER,
        "limits": [
            {"check": encode(limit, route.admission).check_cost, "of": place_among_told(route, limit)}
            | (_due(route, limit) if owes(route, limit) else {})
            | counter
            for limit, counter in checked
        ],
    }


def _due(route: Route, limit: Limit) -> dict[str, Any]:
    paid = {"paid": paid_key(route, limit)} if prepays(route, limit) or holds(route, limit) else {}
    refund = {"refund": refund_key(route, limit)} if holds(route, limit) else {}
    return {"due": due_key(route, limit), "key": metadata_key(route, limit)} | paid | refund


def _headers(counters: Iterable[dict[str, Any]]) -> Iterable[str]:
    return (
        one["header"] for counter in counters for one in (*counter["match"], *counter["entries"]) if "header" in one
    )


def _counter(route: Route, backend: Backend | None, limit: Limit, entries: list[Entry]) -> dict[str, Any]:
    match = [{"header": s.header, "value": s.value} for s in limit.selectors if s.match is Match.EXACT]
    if backend and route.tells(backend):
        match.insert(0, {"header": names.BACKEND_HEADER, "value": backend.name})
    # The entries that take the request's value are those of the Distinct selectors, in the same order.
    distinct = iter([s.header for s in limit.selectors if s.match is Match.DISTINCT])
    return {
        "match": match,
        "entries": [
            {"key": key, "header": next(distinct)} if value is None else {"key": key, "value": value}
            for key, value in entries
        ],
    }
