"""EnvoyExtensionPolicy: the filter on its engine, and what it is told of the route."""

from __future__ import annotations

from typing import Any, Final

from llmroute import names
from llmroute.emit.filter_context import filter_context, lua_context
from llmroute.emit.metadata import object_for, on_http_route
from llmroute.emit.settle import on_gateway
from llmroute.plan import Route
from llmroute.render.lua import filter_source
from llmroute.render.oci import SCHEME, module_image
from llmroute.render.wasm import module_digest
from llmroute.render.yaml import Block, Comment
from llmroute.targets import WASM, Capabilities

_NAME: Final = "llmroute"
_GATE: Final = (
    "The same module again: Envoy Gateway lets no wasm filter hold a request's headers and have its body. So this one "
    "holds them, and the first one, which gets the body, says what is to become of them."
)


def extension_policy(route: Route, target: Capabilities) -> dict[str, Any]:
    """The EnvoyExtensionPolicy of ``route``. The script, or the module, is the same for every route."""
    engine = _wasm(route, target) if target.engine == WASM else _lua(route)
    return object_for(
        route,
        f"{names.ENVOY_GATEWAY_API}/v1alpha1",
        "EnvoyExtensionPolicy",
        {"targetRefs": on_http_route(route), **engine},
    )


def _lua(route: Route) -> dict[str, Any]:
    script = {
        "type": "Inline",
        "filterContext": lua_context(route, on_gateway(route)),
        "inline": Block(filter_source()),
    }
    return {"lua": [script]}


def _wasm(route: Route, target: Capabilities) -> dict[str, Any]:
    context = {**filter_context(route, on_gateway(route, alone=True)), "gated": True}
    modules = [
        _module(_NAME, target.module_url, {"contexts": [{"context": context}]}),
        Comment(_GATE, _module(f"{_NAME}-gate", target.module_url, {"gate": True})),
    ]
    return {"wasm": modules}


def _module(name: str, url: str | None, config: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "code": _code(url),
        "config": config,
        "failOpen": Comment("Without the module a request is a 503.", False),  # noqa: FBT003
    }


def _code(url: str | None) -> dict[str, Any]:
    """Where Envoy Gateway gets the module from, and what it must be."""
    if url is None:
        raise ValueError("nobody says where Envoy Gateway gets the module from")
    if url.startswith(SCHEME):
        return {"type": "Image", "image": {"url": url.removeprefix(SCHEME), "sha256": module_image().digest}}
    return {"type": "HTTP", "http": {"url": url, "sha256": module_digest()}}
