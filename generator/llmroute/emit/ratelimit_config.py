"""Configuration of envoyproxy/ratelimit for a plain Envoy: one file, and one domain, per route."""

from __future__ import annotations

from typing import Any

from llmroute.emit.artifact import Artifact
from llmroute.emit.envoy_rate_limits import chain
from llmroute.emit.stamp import stamp
from llmroute.encoding import encode
from llmroute.lower import DEFAULT_NAMESPACE
from llmroute.plan import Admission, Limit, Plan, Route
from llmroute.render.yaml import Comment, dump


def domain(route: Route) -> str:
    """The rate limit domain of ``route``."""
    return f"{route.namespace or DEFAULT_NAMESPACE}/{route.name}"


def ratelimit_config(plan: Plan) -> tuple[Artifact, ...]:
    """``ratelimit/<namespace>.<name>.yaml`` for each route."""
    return tuple(
        Artifact(f"ratelimit/{domain(route).replace('/', '.')}.yaml", dump(Comment(stamp(route), _config(route))))
        for route in plan.routes
    )


def _config(route: Route) -> dict[str, Any]:
    descriptors = [_descriptor(limit, route.admission) for _, limit in route.limits()]
    return {"domain": domain(route), "descriptors": descriptors}


def _descriptor(limit: Limit, admission: Admission) -> Comment:
    encoded = encode(limit, admission)
    inner: dict[str, Any] = {
        "rate_limit": {"unit": limit.unit.value.lower(), "requests_per_unit": encoded.reported},
    }
    if limit.shadow:
        inner["shadow_mode"] = True
    for key, value in reversed(chain(limit)):
        entry: dict[str, Any] = {"key": key}
        if value is not None:
            entry["value"] = value
        inner = {"descriptors": [entry | inner]}
    (descriptor,) = inner["descriptors"]
    return Comment(encoded.comment, descriptor)
