"""Rate limit actions of one backend on a plain Envoy, and the descriptors that they make.

Each limit has a chain of its own: first ``limit: <id>``, then one entry per selector. The same
chain stands in the service's configuration, so both come from ``chain``. A token limit acts
twice: a check that costs nothing, and the charge when the stream is done.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from llmroute import names
from llmroute.emit.charges import charge_key
from llmroute.encoding import Charge, encode
from llmroute.plan import Backend, Limit, Match, Route, Selector
from llmroute.render.yaml import Comment
from llmroute.settlement import prepays

Entry = tuple[str, str | None]
"""Key and value of a descriptor's entry; None where the request's own value counts."""


def chain(limit: Limit) -> list[Entry]:
    """The entries of the limit's descriptor, in order."""
    return [(names.LIMIT_KEY, limit.id), *((s.header, _fixed(s)) for s in limit.selectors)]


def _fixed(selector: Selector) -> str | None:
    # A '*' at the end of a value would be a wildcard to the service.
    return None if selector.match is Match.DISTINCT else quote(selector.value or "", safe="/:@ ,=+^$()[]{}|?!")


def rate_limits(route: Route, backend: Backend) -> list[Any]:
    """``RateLimitPerRoute.rate_limits`` for requests of ``route`` to ``backend``."""
    return [action for limit in (*backend.limits, *route.limits_of_all) for action in _actions(route, limit)]


def _actions(route: Route, limit: Limit) -> Iterator[Any]:
    encoded = encode(limit)
    first, *others = chain(limit)
    actions = [_unless_prepaid(first) if prepays(route, limit) else _action(first, None)]
    actions += [_action(entry, s) for entry, s in zip(others, limit.selectors, strict=True)]
    made: list[dict[str, Any]] = []
    if encoded.check_cost is not None:
        made.append({"actions": actions, "hits_addend": {"number": encoded.check_cost}})
    if encoded.charge:
        hits: dict[str, Any] = {"number": encoded.charge}
        if encoded.charge is Charge.USAGE:
            hits = {"format": f"%DYNAMIC_METADATA({names.METADATA_NAMESPACE}:{charge_key(route, limit)})%"}
        made.append({"actions": actions, "hits_addend": hits, "apply_on_stream_done": True})
    check, *rest = made
    yield Comment(encoded.comment, check)
    yield from rest


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
