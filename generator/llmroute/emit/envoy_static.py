"""Static bootstrap of a plain Envoy: one listener, every route of the plan behind it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from llmroute import names
from llmroute.emit.artifact import Artifact
from llmroute.emit.charges import BEHIND_THE_CHECK
from llmroute.emit.envoy_clusters import RATELIMIT_CLUSTER, TRUSTED_CA, Clusters, ratelimit_cluster, socket
from llmroute.emit.envoy_engine import engine_config, route_name, undecided_name
from llmroute.emit.envoy_filters import HttpFilters, route_config
from llmroute.emit.envoy_identity import has_keys, identity_clusters, identity_config, identity_filters
from llmroute.emit.filter_context import held_bytes
from llmroute.emit.ratelimit_config import domain
from llmroute.emit.stamp import stamp
from llmroute.emit.telemetry import access_log, usage_counters
from llmroute.plan import Backend, Endpoint, Plan, Route
from llmroute.render.yaml import Comment, dump
from llmroute.settlement import admits
from llmroute.targets import LUA

BOOTSTRAP: Final = "envoy.yaml"
LISTENER: Final = "llmroute"
NOBODY: Final = "nobody"
"""The cluster without an endpoint."""
_HTTP: Final = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_BODY: Final = (
    "A body is held to be read, and may grow by 4 KiB in the filter. A longer one that says so passes unread."
)


@dataclass(frozen=True, slots=True)
class EnvoyOptions:
    """Addresses of the bootstrap. ``ratelimit`` is the gRPC address of the rate limit service.

    ``fail_closed``: while that service is away requests are refused; otherwise they pass, unmetered.
    ``trusted_ca``: the file of authorities that backends with TLS are held to. ``access_log``: the file that gets
    a line of JSON for each request. ``usage_counters``: whether usage is counted among Envoy's statistics. ``engine``:
    what our filter runs on.
    """

    listen: Endpoint = Endpoint("0.0.0.0", 10000)  # noqa: S104 a gateway serves everyone
    admin: Endpoint = Endpoint("127.0.0.1", 9901)
    ratelimit: Endpoint = Endpoint("127.0.0.1", 8081)
    fail_closed: bool = True
    trusted_ca: str = TRUSTED_CA
    access_log: str | None = None
    usage_counters: bool = False
    engine: str = LUA


def envoy_static(plan: Plan, options: EnvoyOptions) -> Artifact:
    """``envoy.yaml``. Every backend needs an endpoint: ``check`` has seen to it."""
    clusters = Clusters(options.trusted_ca)
    backends, keys = _backends(plan, clusters), identity_clusters(plan, clusters)
    resources = {
        "listeners": [_listener(plan, options)],
        "clusters": [*backends, *keys, ratelimit_cluster(options.ratelimit)],
    }
    admin = {"address": socket(options.admin)}
    bootstrap = Comment(stamp(*plan.routes), {"admin": admin, "static_resources": resources})
    return Artifact(BOOTSTRAP, dump(bootstrap), secret=has_keys(plan))


def _backends(plan: Plan, clusters: Clusters) -> Iterator[dict[str, Any]]:
    by_name = {_cluster_name(r, b): (r, b) for r in plan.routes for b in r.backends}
    for name, (route, backend) in by_name.items():
        yield clusters.build(name, backend.endpoints, route.admission.max_in_flight)
    if any(route.undecided for route in plan.routes):
        yield clusters.build(NOBODY, ())


def _listener(plan: Plan, options: EnvoyOptions) -> dict[str, Any]:
    manager: dict[str, Any] = {
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
            "virtual_hosts": [{"name": LISTENER, "domains": ["*"], "routes": list(_routes(plan, options.engine))}],
        },
        "http_filters": [
            *identity_filters(plan),
            *HttpFilters(options.engine, RATELIMIT_CLUSTER, options.fail_closed).build(plan),
        ],
    }
    if loggers := list(_loggers(plan, options)):
        manager["access_log"] = loggers
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    return {
        "name": LISTENER,
        "address": socket(options.listen),
        "enable_reuse_port": Comment("A second Envoy on this port is refused, not served half.", False),  # noqa: FBT003
        "filter_chains": [chain],
    }


def _loggers(plan: Plan, options: EnvoyOptions) -> Iterator[dict[str, Any]]:
    if options.access_log is not None:
        yield access_log(options.access_log, (route.identity.header for route in plan.routes), options.engine)
    if options.usage_counters:
        yield from usage_counters(options.engine)


def _routes(plan: Plan, engine: str) -> Iterator[dict[str, Any]]:
    """Requests that name their backend first; then those that name none, in the order of the input."""
    for route in plan.routes:
        if route.takes_unnamed and len(plan.routes) == 1:
            continue  # everything goes to the one backend, named or not
        for backend in route.backends:
            yield _route(route, backend, engine, named=True)
    for route in plan.routes:
        if route.takes_unnamed:
            yield _route(route, route.backends[0], engine, named=False)
        elif route.undecided:
            yield _undecided(route, engine)


def _route(route: Route, backend: Backend, engine: str, *, named: bool) -> dict[str, Any]:
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
    config = route_config(route, backend, domain(route), engine)
    return _entry(route, route_name(route, backend, named=named), match, action, config)


def _undecided(route: Route, engine: str) -> dict[str, Any]:
    """Requests that name no backend, until the filter has named one; then another of the routes has them.

    It leads nowhere, so a fault in the filter is a 503 and not an answer that nobody is charged for. No
    direct response: Envoy would hold 1 MiB of the body for it, whatever the route says.
    """
    action = Comment("The filter names the backend by the model. Where it cannot, this is a 503.", {"cluster": NOBODY})
    return _entry(route, undecided_name(route), {"prefix": "/"}, action, engine_config(route, engine))


def _entry(
    route: Route, name: str, match: dict[str, Any], action: dict[str, Any] | Comment, config: dict[str, Any]
) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": name, "match": match, "route": action}
    if admits(route):
        entry["request_headers_to_remove"] = [Comment(BEHIND_THE_CHECK, names.PREPAID_HEADER)]
    return entry | {
        "request_body_buffer_limit": Comment(_BODY, held_bytes(route)),
        "typed_per_filter_config": {**identity_config(route), **config},
    }


def _cluster_name(route: Route, backend: Backend) -> str:
    return f"{domain(route)}/{backend.name}"
