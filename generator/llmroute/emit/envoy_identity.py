"""Who asks, on a plain Envoy: filters that verify a token or a key before the Lua filter runs.

Each route has its own way to know, so the filters do nothing but for what a route's own configuration says.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

from llmroute.emit.envoy_clusters import Clusters
from llmroute.emit.envoy_types import JWT_FILTER, http_filter, typed
from llmroute.emit.ratelimit_config import domain
from llmroute.plan import ApiKey, Endpoint, Jwt, Plan, Route
from llmroute.render.yaml import Comment

_API_KEY: Final = "envoy.filters.http.api_key_auth"
_PORTS: Final = {"http": 80, "https": 443}


def identity_filters(plan: Plan) -> list[dict[str, Any]]:
    """The filters that ``plan`` needs, in Envoy Gateway's order."""
    filters = []
    if any(route.identity.api_key for route in plan.routes):
        filters.append(http_filter(_API_KEY, "api_key_auth.v3.ApiKeyAuth", {}) | {"disabled": True})
    by_token = {domain(route): route.identity.jwt for route in plan.routes if route.identity.jwt}
    if by_token:
        config = {
            "providers": {name: _provider(jwt) for name, jwt in by_token.items()},
            "requirement_map": {name: _requirement(name) for name in by_token},
        }
        filters.append(http_filter(JWT_FILTER, "jwt_authn.v3.JwtAuthentication", config))
    return filters


def identity_config(route: Route) -> dict[str, Any]:
    """What these filters are told of ``route``, for its ``typed_per_filter_config``."""
    identity = route.identity
    if identity.jwt:
        return {JWT_FILTER: typed("jwt_authn.v3.PerRouteConfig", {"requirement_name": domain(route)})}
    if identity.api_key:
        return {_API_KEY: typed("api_key_auth.v3.ApiKeyAuthPerRoute", _keys(identity.api_key, identity.header))}
    return {}


def identity_clusters(plan: Plan, clusters: Clusters) -> Iterator[dict[str, Any]]:
    """Where keys of tokens are fetched, each place once."""
    uris = {route.identity.jwt.uri for route in plan.routes if route.identity.jwt and route.identity.jwt.uri}
    for endpoint in sorted({_endpoint(uri) for uri in uris}, key=str):
        yield clusters.build(_cluster_name(endpoint), (endpoint,))


def has_keys(plan: Plan) -> bool:
    """Whether what is made of ``plan`` holds clients' keys, in clear."""
    return any(route.identity.api_key and route.identity.api_key.clients for route in plan.routes)


def _provider(jwt: Jwt) -> dict[str, Any]:
    provider: dict[str, Any] = {}
    if jwt.issuer is not None:
        provider["issuer"] = jwt.issuer
    if jwt.audiences:
        provider["audiences"] = list(jwt.audiences)
    if jwt.uri is not None:
        uri = {"uri": jwt.uri, "cluster": _cluster_name(_endpoint(jwt.uri)), "timeout": "10s"}
        provider["remote_jwks"] = {"http_uri": uri, "cache_duration": "300s", "async_fetch": {}}
    else:
        provider["local_jwks"] = {"inline_string": jwt.inline}
    provider["forward"] = Comment("As Envoy Gateway does.", True)  # noqa: FBT003
    provider["payload_in_metadata"] = jwt.name
    # So that a claim means the same to a limit on both targets.
    provider["normalize_payload_in_metadata"] = {"space_delimited_claims": ["scope", "scp"]}
    return provider


def _requirement(provider: str) -> dict[str, Any]:
    missing = Comment("The filter has the last word on a request without a token.", {"allow_missing": {}})
    return {"requires_any": {"requirements": [{"provider_name": provider}, missing]}}


def _keys(api_key: ApiKey, header: str) -> dict[str, Any]:
    sources = [{"header": name} for name in api_key.headers]
    sources += [{"query": name} for name in api_key.params]
    sources += [{"cookie": name} for name in api_key.cookies]
    credentials = [{"client": client, "key": key} for client, key in api_key.clients]
    return {
        "credentials": Comment("Secret: whoever reads this file can be any of these clients.", credentials),
        "key_sources": sources,
        "forwarding": {
            "header": Comment("In place of whatever the client says there.", header),
            "hide_credentials": Comment("The key is none of the backend's business.", True),  # noqa: FBT003
        },
    }


def _endpoint(uri: str) -> Endpoint:
    parts = urlsplit(uri)
    return Endpoint(parts.hostname or "", parts.port or _PORTS[parts.scheme], tls=parts.scheme == "https")


def _cluster_name(endpoint: Endpoint) -> str:
    return f"jwks/{'https' if endpoint.tls else 'http'}/{endpoint}"
