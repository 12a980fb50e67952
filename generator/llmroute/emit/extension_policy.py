"""EnvoyExtensionPolicy: the filter on its engine, and what it is told of the route."""

from __future__ import annotations

from typing import Any, Final

from llmroute import names
from llmroute.emit.filter_context import filter_context
from llmroute.emit.metadata import object_for, on_http_route
from llmroute.emit.settle import on_gateway
from llmroute.plan import Route
from llmroute.render.lua import filter_source
from llmroute.render.oci import SCHEME, module_image
from llmroute.render.wasm import NamedModule, named_module
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
        "filterContext": filter_context(route, on_gateway(route)),
        "inline": Block(filter_source()),
    }
    return {"lua": [script]}


def modules_of(route: Route) -> tuple[NamedModule, NamedModule]:
    """The module of the filter of ``route``, and that of its gate, for wherever Envoy Gateway gets them from."""
    owner = ".".join(part for part in (route.namespace, route.name) if part)
    return named_module(owner), named_module(f"{owner}.gate")


def _wasm(route: Route, target: Capabilities) -> dict[str, Any]:
    context = {**filter_context(route, on_gateway(route, alone=True)), "gated": True}
    reader, gate = (_code(module, target.module_url) for module in modules_of(route))
    modules = [
        _module(_NAME, reader, {"contexts": [{"context": context}]}),
        Comment(_GATE, _module(f"{_NAME}-gate", gate, {"gate": True})),
    ]
    return {"wasm": modules}


def _module(name: str, code: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "code": code,
        "config": config,
        "failOpen": Comment("Without the module a request is a 503.", False),  # noqa: FBT003
    }


def _code(module: NamedModule, base: str | None) -> dict[str, Any]:
    """Where Envoy Gateway gets the module from, and what it must be."""
    if base is None:
        raise ValueError("nobody says where Envoy Gateway gets the module from")
    if base.startswith(SCHEME):
        url = f"{base.removeprefix(SCHEME)}:{module.name}"
        return {"type": "Image", "image": {"url": url, "sha256": module_image(module.content).digest}}
    return {"type": "HTTP", "http": {"url": f"{base.rstrip('/')}/{module.name}.wasm", "sha256": module.digest}}
