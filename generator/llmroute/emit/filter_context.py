"""What the filter is told of a route; ``filters/lua/README.md`` describes the same from the other side."""

from __future__ import annotations

import json
from typing import Any, Final

from llmroute import names
from llmroute.emit.charges import costs, holds_of
from llmroute.emit.envoy_types import JWT_FILTER
from llmroute.encoding import counted, reported_limit
from llmroute.plan import Identity, Limit, MetadataHeader, Route, Usage
from llmroute.render.yaml import Block
from llmroute.settlement import holds

VERSION: Final = 1
_GROWTH_BYTES: Final = 4096
"""A body may become this much longer in the filter, by what it sets: some tens of bytes as a rule."""


Calls = dict[str, dict[str, Any]]
"""What the filter is told of its own calls, by the part of the context (``emit.settle``)."""


def filter_context(route: Route, calls: Calls) -> dict[str, Any]:
    """A JSON object.

    ``modelHeader``: the header to set from the body. ``defaults``: header -> value for a request
    that lacks it. ``limits``: what the service's answer means; ``reported`` and ``window`` (seconds)
    are in the answer, ``kind`` (``tokens`` or ``requests``), ``quantity`` and ``unit`` are not, nor is
    ``what`` (``prompt tokens``), where that is more than the kind and no other limit looks the same, nor ``held``:
    such a limit may refuse with something left.
    ``usage``: how an answer is metered that does not report it. ``maxTokens``: what a request may
    ask for, where that is bounded. ``costs``: weighted sums to make. ``holds``: limits whose check holds what a
    request may take. ``metadata``: headers to set from what
    other filters found out. ``identity``: the header without which a request is a 401. ``backendHeader`` and
    ``backends``: who serves which model ("*" the rest), where the model chooses. ``bodyLimit``: bytes of the
    longest request body that may be held. ``settle`` and ``prepay``: how the filter charges an answer or admits
    a request itself, where it does (see ``emit.settle``).
    """
    context: dict[str, Any] = {
        "version": VERSION,
        "modelHeader": names.MODEL_HEADER,
        "defaults": dict(route.header_defaults),
        "limits": _limits(route),
        "usage": _usage(route.usage),
    }
    if route.admission.max_tokens is not None:
        context["maxTokens"] = route.admission.max_tokens
    if route.weighted:
        context["costs"] = costs(route)
    if held := holds_of(route):
        context["holds"] = held
    set_headers = [*_claim(route.identity), *(_metadata_header(header) for header in route.metadata_headers)]
    if set_headers:
        context["metadata"] = set_headers
    if route.identity.reject:
        context["identity"] = route.identity.header
    if route.routes_by_model:
        context["backendHeader"] = names.BACKEND_HEADER
        context["backends"] = [{"name": b.name, "models": list(b.models)} for b in route.backends]
    return {**context, **calls, "bodyLimit": route.body_limit_bytes}


def lua_context(route: Route, calls: Calls) -> dict[str, Any]:
    """The same for the Lua: ``route`` is the text of that object.

    Envoy copies for each request what it hands over, and a text is one piece of memory.
    """
    return {"route": Block(json.dumps(filter_context(route, calls), indent=2))}


def place_among_told(route: Route, limit: Limit) -> int:
    """The place, from 1, among the context's ``limits``, of what is said of ``limit``, which is no shadow."""
    return list(_told(route)).index(_as_told(route, limit)) + 1


_Told = tuple[int, int, str]


def _as_told(route: Route, limit: Limit) -> _Told:
    """What of a limit is in the service's answer, and what kind it is."""
    return reported_limit(limit, route.admission), limit.unit.seconds, limit.kind.value


def _limits(route: Route) -> list[dict[str, Any]]:
    return list(_told(route).values())


def _told(route: Route) -> dict[_Told, dict[str, Any]]:
    limits: dict[_Told, dict[str, Any]] = {}
    for _, limit in route.limits():
        if limit.shadow:
            continue  # nobody is told of it
        key = _as_told(route, limit)
        what = counted(limit)
        same = key not in limits or limits[key].get("what", limit.kind.value) == what
        limits[key] = {
            "reported": key[0],
            "window": key[1],
            "kind": limit.kind.value,
            "quantity": limit.quantity,
            "unit": limit.unit.value.lower(),
        } | ({"what": what} if same and what != limit.kind else {})
        if holds(route, limit):
            limits[key]["held"] = True
    return limits


def _claim(identity: Identity) -> list[dict[str, Any]]:
    """The user's header, when a verified token says who it is; the default is no name, so that nobody has it."""
    jwt = identity.jwt
    path = (jwt.name, *jwt.claim) if jwt else ()
    return [_metadata_header(MetadataHeader(identity.header, JWT_FILTER, path, ""))] if jwt else []


def _metadata_header(header: MetadataHeader) -> dict[str, Any]:
    return {
        "header": header.header,
        "namespace": header.namespace,
        "path": list(header.path),
        "default": header.default,
    }


def held_bytes(route: Route) -> int:
    """What the proxy has to hold: a body that outgrows it in the filter is refused, too."""
    return route.body_limit_bytes + _GROWTH_BYTES


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "onMissing": usage.on_missing.value,
        "fixedTokens": usage.fixed_tokens,
        "onDisconnect": usage.on_disconnect.value,
        "includeUsage": usage.include_usage.value,
    }
