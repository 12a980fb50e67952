"""HTTP filters of a plain Envoy, in Envoy Gateway's order, and what they are told of each route."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from llmroute.emit.envoy_engine import engine_config, engine_filter
from llmroute.emit.envoy_rate_limits import rate_limits
from llmroute.emit.envoy_types import RATELIMIT, http_filter, typed
from llmroute.plan import Backend, Plan, Route
from llmroute.render.yaml import Comment

_ROUTER: Final = "envoy.filters.http.router"
_WHEN_AWAY: Final = {
    True: "Nothing passes unmetered while the service is away.",
    False: "Everything passes unmetered while the service is away.",
}


@dataclass(frozen=True, slots=True)
class HttpFilters:
    """What varies in the filters.

    ``engine``: of our own filter. ``ratelimit_cluster``: a gRPC cluster. ``fail_closed``: whether requests are refused
    while the rate limit service is away.
    """

    engine: str
    ratelimit_cluster: str
    fail_closed: bool

    def build(self, plan: Plan) -> list[dict[str, Any]]:
        """``http_filters``, in order."""
        ratelimit = {
            "domain": Comment("Each route has a domain of its own.", "llmroute"),
            "failure_mode_deny": Comment(_WHEN_AWAY[self.fail_closed], self.fail_closed),
            "status_on_error": {"code": 503},
            "timeout": "1s",
            "enable_x_ratelimit_headers": "DRAFT_VERSION_03",
            "disable_x_envoy_ratelimited_header": True,
            "rate_limit_service": {
                "transport_api_version": "V3",
                "grpc_service": {"envoy_grpc": {"cluster_name": self.ratelimit_cluster}},
            },
        }
        return [
            engine_filter(plan, self.engine),
            http_filter(RATELIMIT, "ratelimit.v3.RateLimit", ratelimit),
            http_filter(_ROUTER, "router.v3.Router", {"suppress_envoy_headers": True}),
        ]


def route_config(route: Route, backend: Backend, domain: str, engine: str) -> dict[str, Any]:
    """``typed_per_filter_config`` of requests to ``backend``."""
    return {
        **engine_config(route, engine),
        # Here, not in the route's own rate_limits: those drop hits_addend without a word.
        RATELIMIT: typed(
            "ratelimit.v3.RateLimitPerRoute", {"domain": domain, "rate_limits": rate_limits(route, backend, engine)}
        ),
    }
