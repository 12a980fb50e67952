"""Rate limit actions of one backend on a plain Envoy, and the descriptors that they make.

Each limit has a chain of its own: first ``limit: <id>``, then one entry per selector. The same
chain stands in the service's configuration, so both come from ``chain``. A token limit acts
twice: a check that costs nothing, and the charge when the stream is done. One that holds acts three
times: the hold, the charge of what is beyond it, and the refund of what is left of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote

from llmroute import names
from llmroute.emit.charges import charge_key
from llmroute.emit.envoy_types import RATELIMIT
from llmroute.emit.said import said
from llmroute.encoding import Charge, encode
from llmroute.plan import Backend, Limit, Match, Route, Selector
from llmroute.render.yaml import Comment
from llmroute.settlement import holds, paid_key, prepays, refund_key

_MARK: Final = Comment(
    "The service knows a hold by this: all of a request's are counted, or nothing is.",
    {"generic_key": {"descriptor_key": names.HOLD_KEY, "descriptor_value": "all-or-nothing"}},
)
_HELD_AT: Final = Comment(
    "When the service counted the holds: a refund is for that window alone. A request that holds nothing has no such "
    "time, and then there is no refund.",
    {
        "metadata": {
            "descriptor_key": names.HELD_AT,
            "metadata_key": {"key": RATELIMIT, "path": [{"key": names.HELD_AT}]},
            "source": "DYNAMIC",
        }
    },
)
Entry = tuple[str, str | None]
"""Key and value of a descriptor's entry; None where the request's own value counts."""


def chain(limit: Limit) -> list[Entry]:
    """The entries of the limit's descriptor, in order."""
    return [(names.LIMIT_KEY, limit.id), *((s.header, _fixed(s)) for s in limit.selectors)]


def _fixed(selector: Selector) -> str | None:
    # A '*' at the end of a value would be a wildcard to the service.
    return None if selector.match is Match.DISTINCT else quote(selector.value or "", safe="/:@ ,=+^$()[]{}|?!")


def rate_limits(route: Route, backend: Backend, engine: str) -> list[Any]:
    """``RateLimitPerRoute.rate_limits`` for requests of ``route`` to ``backend``, by what the filter says."""
    return [action for limit in (*backend.limits, *route.limits_of_all) for action in _actions(route, limit, engine)]


def _actions(route: Route, limit: Limit, engine: str) -> Iterator[Any]:
    encoded = encode(limit, route.admission)
    first, *others = chain(limit)
    actions = [_unless_prepaid(first) if prepays(route, limit) else _action(first, None)]
    actions += [_action(entry, s) for entry, s in zip(others, limit.selectors, strict=True)]
    made: list[dict[str, Any]] = []
    if encoded.check_cost is Charge.HOLD:
        made.append({"actions": [*actions, _MARK], "hits_addend": _hits(engine, paid_key(route, limit))})
    elif encoded.check_cost is not None:
        made.append({"actions": actions, "hits_addend": {"number": encoded.check_cost}})
    if encoded.charge:
        hits: dict[str, Any] = {"number": encoded.charge}
        if encoded.charge is Charge.USAGE:
            hits = _hits(engine, charge_key(route, limit))
        made.append({"actions": actions, "hits_addend": hits, "apply_on_stream_done": True})
    if holds(route, limit):
        refund = _hits(engine, refund_key(route, limit)) | {"is_negative_hits": True}
        made.append({"actions": [*actions, _HELD_AT], "hits_addend": refund, "apply_on_stream_done": True})
    check, *rest = made
    yield Comment(encoded.comment, check)
    yield from rest


def _hits(engine: str, key: str) -> dict[str, Any]:
    """Hits that the filter says."""
    return {"format": said(engine, key)}


def _unless_prepaid(entry: Entry) -> dict[str, Any]:
    """Of a request that the filter has admitted there is no such entry, and so no check."""
    key, value = entry
    admitted = [{"name": names.PREPAID_HEADER, "present_match": True}]
    match = {"descriptor_key": key, "descriptor_value": value, "expect_match": False, "headers": admitted}
    return {"header_value_match": match}


def _action(entry: Entry, selector: Selector | None) -> dict[str, Any]:
    key, value = entry
    if selector is None:
        return {"generic_key": {"descriptor_key": key, "descriptor_value": value}}
    if selector.match is Match.DISTINCT:
        return {"request_headers": {"header_name": selector.header, "descriptor_key": key}}
    exact = {"exact": selector.value}
    match = exact if selector.match is Match.EXACT else {"safe_regex": {"regex": selector.value}}
    headers = [{"name": selector.header, "string_match": match}]
    return {"header_value_match": {"descriptor_key": key, "descriptor_value": value, "headers": headers}}
