"""Whether an Envoy serves what Envoy Gateway was given, read from its ``/config_dump``: no request is counted. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from e2e.stacks.gateway_limits import GatewayLimit
from e2e.stacks.host_documents import Document

Dump = Mapping[str, Any]
_LUA: Final = "envoy.filters.http.lua"
_WASM: Final = "envoy.filters.http.wasm"
_ENGINES: Final = (_LUA, _WASM)


def missing(dump: Dump, documents: Sequence[Document], limits: Sequence[GatewayLimit], port: int) -> list[str]:
    """What is not there yet, in words; nothing when all is in force."""
    return [
        *_missing_listener(dump, port),
        *_missing_clusters(dump, bool(limits)),
        *_missing_routes(dump, documents, limits),
    ]


def _missing_listener(dump: Dump, port: int) -> Iterator[str]:
    states = [each.get("active_state") for each in _all(dump, "ListenersConfigDump", "dynamic_listeners")]
    ports = {state["listener"]["address"]["socket_address"]["port_value"] for state in states if state}
    if port not in ports:
        yield f"an active listener on port {port}"


def _missing_clusters(dump: Dump, limited: bool) -> Iterator[str]:
    clusters = {
        each["cluster"]["name"]: each["cluster"] for each in _all(dump, "ClustersConfigDump", "dynamic_active_clusters")
    }
    if not limited:
        return
    if "ratelimit_cluster" not in clusters:
        yield "the ratelimit cluster"
    elif "transport_socket" in clusters["ratelimit_cluster"]:
        yield "the patch of the ratelimit cluster's address"


def _missing_routes(dump: Dump, documents: Sequence[Document], limits: Sequence[GatewayLimit]) -> Iterator[str]:
    served = {route["name"]: route for route in _served(dump)}
    for document in documents:
        if document["kind"] != "HTTPRoute":
            continue
        domain = f"{document['metadata']['namespace']}/{document['metadata']['name']}"
        actions = sum(limit.actions for limit in limits if limit.domain == domain)
        secured = any(d["kind"] == "SecurityPolicy" and _place(d) == _place(document) for d in documents)
        for prefix, leads in _names(document, domain):
            found = [route for name, route in served.items() if name.startswith(prefix)]
            if not found:
                yield f"route {prefix}"
            for route in found:
                absent = [*_missing_in(route, domain, actions, leads=leads), *_missing_identity(route, secured)]
                yield from (f"{what} of {route['name']}" for what in absent)
                if _contexts_of(documents, document) != _contexts(dump, route):
                    yield f"the filter context of {route['name']}"


def _missing_in(route: Mapping[str, Any], domain: str, actions: int, *, leads: bool) -> Iterator[str]:
    if leads and "route" not in route:  # Envoy Gateway answers 500 itself where it refuses a policy
        yield "the backend"
    filters = route.get("typed_per_filter_config", {})
    if not any(name.startswith(_ENGINES) for name in filters):
        yield "the filter"
    limited = [config for config in filters.values() if config.get("domain") == domain]
    if leads and actions and [len(config["rate_limits"]) for config in limited] != [actions]:
        yield "the limits"


def _missing_identity(route: Mapping[str, Any], secured: bool) -> Iterator[str]:
    found = {"envoy.filters.http.jwt_authn", "envoy.filters.http.api_key_auth"} & set(
        route.get("typed_per_filter_config", {})
    )
    if secured and not found:
        yield "the identity"


def _contexts(dump: Dump, route: Mapping[str, Any]) -> list[Any]:
    """What scripts are told with the route, and what the modules that it enables are told by the listener."""
    filters = route.get("typed_per_filter_config", {})
    plugins = {f["name"]: f["typed_config"]["config"] for f in _http_filters(dump) if f["name"].startswith(_WASM)}
    by_route = [config.get("filter_context") for name, config in filters.items() if name.startswith(_LUA)]
    modules = sorted(name for name in filters if name in plugins)
    return [*by_route, *(json.loads(plugins[name]["configuration"]["value"]) for name in modules)]


def _contexts_of(documents: Iterable[Document], http_route: Document) -> list[Any]:
    """What the extension policies of an HTTPRoute tell their scripts and modules."""
    same = [d["spec"] for d in documents if d["kind"] == "EnvoyExtensionPolicy" and _place(d) == _place(http_route)]
    scripts = [script.get("filterContext") for spec in same for script in spec.get("lua", [])]
    return [*scripts, *(module["config"] for spec in same for module in spec.get("wasm", []))]


def _http_filters(dump: Dump) -> Iterator[Mapping[str, Any]]:
    for each in _all(dump, "ListenersConfigDump", "dynamic_listeners"):
        listener = each.get("active_state", {}).get("listener", {})
        for chain in (*listener.get("filter_chains", []), listener.get("default_filter_chain", {})):
            for network_filter in chain.get("filters", []):
                yield from network_filter["typed_config"].get("http_filters", [])


def _place(document: Document) -> tuple[str | None, str]:
    return document["metadata"].get("namespace"), document["metadata"]["name"]


def _names(http_route: Document, domain: str) -> Iterator[tuple[str, bool]]:
    """How the names of an HTTPRoute's routes begin in Envoy, and whether they lead to a backend."""
    for i, rule in enumerate(http_route["spec"]["rules"]):
        for j in range(len(rule["matches"])):
            yield f"httproute/{domain}/rule/{i}/match/{j}/", "backendRefs" in rule


def _served(dump: Dump) -> Iterator[Mapping[str, Any]]:
    for each in _all(dump, "RoutesConfigDump", "dynamic_route_configs"):
        for host in each["route_config"].get("virtual_hosts", []):
            yield from host["routes"]


def _all(dump: Dump, kind: str, field: str) -> Iterable[Mapping[str, Any]]:
    for config in dump["configs"]:
        if config["@type"].endswith(f".{kind}"):
            yield from config.get(field, [])
