"""The filter of a plain Envoy, in Lua or wasm, and how it is told of each route.

The Lua filter gets its context with the route (``LuaPerRoute``). Envoy's wasm filter takes nothing per route, so its
configuration has the contexts of all routes, by the routes' names.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any, Final

from llmroute.emit.envoy_clusters import RATELIMIT_CLUSTER
from llmroute.emit.envoy_types import http_filter, typed
from llmroute.emit.filter_context import filter_context, lua_context
from llmroute.emit.ratelimit_config import domain
from llmroute.emit.settle import on_envoy
from llmroute.plan import Backend, Plan, Route
from llmroute.render.lua import filter_source
from llmroute.render.wasm import filter_module
from llmroute.render.yaml import Block, Comment
from llmroute.targets import WASM

LUA_FILTER: Final = "envoy.filters.http.lua"
_WASM: Final = "envoy.filters.http.wasm"
_TEXT: Final = "type.googleapis.com/google.protobuf.StringValue"
"""A Struct would reach the filter as protobuf, not as the JSON that it reads."""
_RELOAD: Final = (
    "A machine that stops takes its requests with it, as 503: nothing passes unmetered. Later ones get a new machine."
)
_STOP: Final = "The filter holds a request's headers until it has read the model from the body."


def engine_filter(plan: Plan, engine: str) -> dict[str, Any]:
    """The entry of ``http_filters``."""
    if engine == WASM:
        return http_filter(_WASM, "wasm.v3.Wasm", {"config": _plugin(plan)})
    return http_filter(LUA_FILTER, "lua.v3.Lua", {"default_source_code": {"inline_string": Block(filter_source())}})


def engine_config(route: Route, engine: str) -> dict[str, Any]:
    """``typed_per_filter_config`` of the route's requests, for this filter."""
    if engine == WASM:
        return {}
    context = lua_context(route, on_envoy(route, RATELIMIT_CLUSTER))
    return {LUA_FILTER: typed("lua.v3.LuaPerRoute", {"filter_context": context})}


def route_name(route: Route, backend: Backend, *, named: bool) -> str:
    """What Envoy calls the route to a backend, of requests that name it and of those that name none."""
    return f"{domain(route)}/{backend.name}" + ("" if named else "/unnamed")


def undecided_name(route: Route) -> str:
    """What it calls that of requests whose backend is not chosen yet."""
    return f"{domain(route)}/undecided"


def _names(route: Route) -> Iterator[str]:
    """Of every route that Envoy may have of it."""
    for backend in route.backends:
        yield from (route_name(route, backend, named=named) for named in (True, False))
    yield undecided_name(route)


def _plugin(plan: Plan) -> dict[str, Any]:
    contexts = [
        {"routes": list(_names(route)), "context": filter_context(route, on_envoy(route, RATELIMIT_CLUSTER))}
        for route in plan.routes
    ]
    return {
        "name": "llmroute",
        "vm_config": {
            "vm_id": "llmroute",
            "runtime": "envoy.wasm.runtime.v8",
            "code": {"local": {"inline_bytes": base64.b64encode(filter_module()).decode()}},
        },
        "configuration": {"@type": _TEXT, "value": Block(json.dumps({"contexts": contexts}, indent=2))},
        "failure_policy": Comment(_RELOAD, "FAIL_RELOAD"),
        "allow_on_headers_stop_iteration": Comment(_STOP, True),  # noqa: FBT003
    }
