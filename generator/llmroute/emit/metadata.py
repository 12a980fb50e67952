"""``metadata`` of everything that is made for a route."""

from __future__ import annotations

from typing import Any

from llmroute import names
from llmroute.plan import Route


def object_for(route: Route, api_version: str, kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    """A Kubernetes object of the route's name. Without a namespace in the source it has none either."""
    metadata: dict[str, Any] = {"name": route.name}
    if route.namespace is not None:
        metadata["namespace"] = route.namespace
    metadata["labels"] = {names.MANAGED_BY_LABEL: names.MANAGED_BY}
    metadata["annotations"] = {names.HASH_ANNOTATION: route.digest}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec}


def on_http_route(route: Route) -> list[dict[str, str]]:
    """``targetRefs`` of a policy that attaches to the route's HTTPRoute."""
    return [{"group": names.GATEWAY_API, "kind": "HTTPRoute", "name": route.name}]
