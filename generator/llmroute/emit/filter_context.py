"""What the filter is told of a route; ``filters/lua/README.md`` describes the same from the other side."""

from __future__ import annotations

from typing import Any, Final

from llmroute import names
from llmroute.encoding import reported_limit
from llmroute.plan import Route, Usage

VERSION: Final = 1
_GROWTH_BYTES: Final = 4096
"""A body may become this much longer in the filter, by what it sets: some tens of bytes as a rule."""


def filter_context(route: Route) -> dict[str, Any]:
    """A JSON object.

    ``modelHeader``: the header to set from the body. ``defaults``: header -> value for a request
    that lacks it. ``limits``: what the service's answer means; ``reported`` and ``window`` (seconds)
    are in the answer, ``kind`` (``tokens`` or ``requests``), ``quantity`` and ``unit`` are not.
    ``usage``: how an answer is metered that does not report it. ``maxTokens``: what a request may
    ask for, where that is bounded. ``bodyLimit``: bytes of the longest request body that may be held.
    """
    limits: dict[tuple[int, int, str], dict[str, Any]] = {}
    for _, limit in route.limits():
        reported, window = reported_limit(limit), limit.unit.seconds
        limits[reported, window, limit.kind] = {
            "reported": reported,
            "window": window,
            "kind": limit.kind.value,
            "quantity": limit.quantity,
            "unit": limit.unit.value.lower(),
        }
    context: dict[str, Any] = {
        "version": VERSION,
        "modelHeader": names.MODEL_HEADER,
        "defaults": dict(route.header_defaults),
        "limits": list(limits.values()),
        "usage": _usage(route.usage),
    }
    if route.max_tokens is not None:
        context["maxTokens"] = route.max_tokens
    return {**context, "bodyLimit": route.body_limit_bytes}


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
