"""SecurityPolicy: who asks, found out by Envoy before the filter runs. Only for routes whose identity needs it."""

from __future__ import annotations

from typing import Any

from llmroute import names
from llmroute.emit.metadata import object_for, on_http_route
from llmroute.plan import ApiKey, Identity, Jwt, Route
from llmroute.render.yaml import Comment


def security_policy(route: Route) -> dict[str, Any] | None:
    """The SecurityPolicy of ``route``; None where a header alone says who asks."""
    spec = _spec(route.identity)
    if not spec:
        return None
    spec = {"targetRefs": on_http_route(route), **spec}
    return object_for(route, f"{names.ENVOY_GATEWAY_API}/v1alpha1", "SecurityPolicy", spec)


def _spec(identity: Identity) -> dict[str, Any]:
    if identity.jwt:
        return {"jwt": _jwt(identity.jwt)}
    if identity.api_key:
        return {"apiKeyAuth": _api_key(identity.api_key, identity.header)}
    return {}


def _jwt(jwt: Jwt) -> dict[str, Any]:
    provider: dict[str, Any] = {"name": jwt.name}
    if jwt.issuer is not None:
        provider["issuer"] = jwt.issuer
    if jwt.audiences:
        provider["audiences"] = list(jwt.audiences)
    if jwt.uri is not None:
        provider["remoteJWKS"] = {"uri": jwt.uri}
    if jwt.inline is not None:
        provider["localJWKS"] = {"type": "Inline", "inline": jwt.inline}
    optional = Comment("The filter has the last word on a request without a token; a bad one is a 401 here.", True)  # noqa: FBT003
    return {"optional": optional, "providers": [provider]}


def _api_key(api_key: ApiKey, header: str) -> dict[str, Any]:
    places = {"headers": api_key.headers, "params": api_key.params, "cookies": api_key.cookies}
    return {
        "credentialRefs": [{"group": "", "kind": "Secret", "name": name} for name in api_key.secrets],
        "extractFrom": [{place: list(found)} for place, found in places.items() if found],
        "forwardClientIDHeader": Comment("In place of whatever the client says there.", header),
        "sanitize": Comment("The key is none of the backend's business.", True),  # noqa: FBT003
    }
