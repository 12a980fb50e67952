"""What the filter is told of a route; ``filters/lua/README.md`` describes the same from the other side."""

from __future__ import annotations

from typing import Any, Final

from llmroute import names
from llmroute.encoding import reported_limit
from llmroute.plan import Route

VERSION: Final = 1


def filter_context(route: Route) -> dict[str, Any]:
    """A JSON object.

    ``modelHeader``: the header to set from the body. ``defaults``: header -> value for a request
    that lacks it. ``limits``: what the service's answer means; ``reported`` and ``window`` (seconds)
    are in the answer, ``kind`` (``tokens`` or ``requests``), ``quantity`` and ``unit`` are not.
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
    return {
        "version": VERSION,
        "modelHeader": names.MODEL_HEADER,
        "defaults": dict(route.header_defaults),
        "limits": list(limits.values()),
    }
