"""EnvoyExtensionPolicy: the Lua filter, and what it is told of the route."""

from __future__ import annotations

from typing import Any

from llmroute import names
from llmroute.emit.filter_context import lua_context
from llmroute.emit.metadata import object_for, on_http_route
from llmroute.emit.settle import on_gateway
from llmroute.plan import Route
from llmroute.render.lua import filter_source
from llmroute.render.yaml import Block


def extension_policy(route: Route) -> dict[str, Any]:
    """The EnvoyExtensionPolicy of ``route``. The script is the same for every route."""
    return object_for(
        route,
        f"{names.ENVOY_GATEWAY_API}/v1alpha1",
        "EnvoyExtensionPolicy",
        {
            "targetRefs": on_http_route(route),
            "lua": [
                {
                    "type": "Inline",
                    "filterContext": lua_context(route, on_gateway(route)),
                    "inline": Block(filter_source()),
                },
            ],
        },
    )
