"""How a plain Envoy's HTTP filters, and what they are told of a route, are written."""

from __future__ import annotations

from typing import Any, Final

JWT_FILTER: Final = "envoy.filters.http.jwt_authn"
"""Verifies tokens, on both targets, and leaves their claims in dynamic metadata of this name."""
RATELIMIT: Final = "envoy.filters.http.ratelimit"
"""The rate limit filter; it keeps in dynamic metadata of this name what the service adds to a request's."""
_TYPES: Final = "type.googleapis.com/envoy.extensions.filters.http"


def http_filter(name: str, message: str, config: dict[str, Any]) -> dict[str, Any]:
    """An entry of ``http_filters``."""
    return {"name": name, "typed_config": typed(message, config)}


def typed(message: str, config: dict[str, Any]) -> dict[str, Any]:
    """``config`` as a message of an HTTP filter: ``lua.v3.Lua``."""
    return {"@type": f"{_TYPES}.{message}", **config}
