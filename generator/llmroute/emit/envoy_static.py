"""Static bootstrap of a plain Envoy: one listener, every route of the plan behind it."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from llmroute import names
from llmroute.emit.artifact import Artifact
from llmroute.emit.envoy_filters import HttpFilters, route_config
from llmroute.emit.filter_context import held_bytes
from llmroute.emit.ratelimit_config import domain
from llmroute.plan import Backend, Endpoint, Plan, Route
from llmroute.render.yaml import Comment, dump

BOOTSTRAP: Final = "envoy.yaml"
LISTENER: Final = "llmroute"
RATELIMIT_CLUSTER: Final = "ratelimit"
_HTTP: Final = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_HTTP_OPTIONS: Final = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_BODY: Final = (
    "A body is held to be read, and may grow by 4 KiB in the filter. A longer one that says so passes unread."
)
_TLS: Final = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"


@dataclass(frozen=True, slots=True)
class EnvoyOptions:
    """Addresses of the bootstrap. ``ratelimit`` is the gRPC address of the rate limit service.

    ``fail_closed``: while that service is away requests are refused; otherwise they pass, unmetered.
    """

    listen: Endpoint = Endpoint("0.0.0.0", 10000)  # noqa: S104 a gateway serves everyone
    admin: Endpoint = Endpoint("127.0.0.1", 9901)
    ratelimit: Endpoint = Endpoint("127.0.0.1", 8081)
    fail_closed: bool = True


def envoy_static(plan: Plan, options: EnvoyOptions) -> Artifact:
    """``envoy.yaml``. Every backend needs an endpoint: ``check`` has seen to it."""
    clusters = {_cluster_name(r, b): _cluster(_cluster_name(r, b), b) for r in plan.routes for b in r.backends}
    resources = {
        "listeners": [_listener(plan, options)],
        "clusters": [*clusters.values(), _ratelimit_cluster(options.ratelimit)],
    }
    admin = {"address": _socket(options.admin)}
    return Artifact(BOOTSTRAP, dump({"admin": admin, "static_resources": resources}))


def _listener(plan: Plan, options: EnvoyOptions) -> dict[str, Any]:
    manager = {
        "@type": _HTTP,
        "stat_prefix": LISTENER,
        "use_remote_address": True,
        "server_header_transformation": "PASS_THROUGH",
        "normalize_path": True,
        "merge_slashes": True,
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "common_http_protocol_options": {"headers_with_underscores_action": "REJECT_REQUEST"},
        "route_config": {
            "name": LISTENER,
            "virtual_hosts": [{"name": LISTENER, "domains": ["*"], "routes": list(_routes(plan))}],
        },
        "http_filters": HttpFilters(RATELIMIT_CLUSTER, options.fail_closed).build(),
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    return {
        "name": LISTENER,
        "address": _socket(options.listen),
        "enable_reuse_port": Comment("A second Envoy on this port is refused, not served half.", False),  # noqa: FBT003
        "filter_chains": [chain],
    }


def _routes(plan: Plan) -> Iterator[dict[str, Any]]:
    """Requests that name their backend first; then those that name none, in the order of the input."""
    for route in plan.routes:
        if route.takes_unnamed and len(plan.routes) == 1:
            continue  # everything goes to the one backend, named or not
        for backend in route.backends:
            yield _route(route, backend, named=True)
    for route in plan.routes:
        if route.takes_unnamed:
            yield _route(route, route.backends[0], named=False)


def _route(route: Route, backend: Backend, *, named: bool) -> dict[str, Any]:
    match: dict[str, Any] = {"prefix": "/"}
    if named:
        match["headers"] = [{"name": names.BACKEND_HEADER, "string_match": {"exact": backend.name}}]
    action: dict[str, Any] = {
        "cluster": _cluster_name(route, backend),
        "timeout": f"{route.timeout_seconds}s",
        "idle_timeout": f"{route.timeout_seconds}s",
    }
    if any(e.tls for e in backend.endpoints):
        action["host_rewrite_literal"] = backend.endpoints[0].host
    return {
        "name": f"{domain(route)}/{backend.name}" + ("" if named else "/unnamed"),
        "match": match,
        "route": action,
        "request_body_buffer_limit": Comment(_BODY, held_bytes(route)),
        "typed_per_filter_config": route_config(route, backend, domain(route)),
    }


def _cluster_name(route: Route, backend: Backend) -> str:
    return f"{domain(route)}/{backend.name}"


def _cluster(name: str, backend: Backend) -> dict[str, Any]:
    by_ip = all(_is_ip(e.host) for e in backend.endpoints)
    cluster = {
        "name": name,
        "type": "STATIC" if by_ip else "STRICT_DNS",
        "connect_timeout": "10s",
        "load_assignment": _assignment(name, backend.endpoints),
    }
    if any(e.tls for e in backend.endpoints):
        roots: dict[str, Any] = {"validation_context": {"system_root_certs": {}}}
        context = {"@type": _TLS, "sni": backend.endpoints[0].host, "common_tls_context": roots}
        cluster["transport_socket"] = {"name": "envoy.transport_sockets.tls", "typed_config": context}
    return cluster


def _ratelimit_cluster(address: Endpoint) -> dict[str, Any]:
    http2 = {
        "@type": f"type.googleapis.com/{_HTTP_OPTIONS}",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
    return {
        "name": RATELIMIT_CLUSTER,
        "type": "STATIC" if _is_ip(address.host) else "STRICT_DNS",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": {_HTTP_OPTIONS: http2},
        "load_assignment": _assignment(RATELIMIT_CLUSTER, (address,)),
    }


def _assignment(name: str, endpoints: tuple[Endpoint, ...]) -> dict[str, Any]:
    hosts = [{"endpoint": {"address": _socket(e)}} for e in endpoints]
    return {"cluster_name": name, "endpoints": [{"lb_endpoints": hosts}]}


def _socket(endpoint: Endpoint) -> dict[str, Any]:
    return {"socket_address": {"address": endpoint.host, "port_value": endpoint.port}}


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
