"""Clusters of a plain Envoy: backends, places of keys, and the rate limit service."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from llmroute.emit.in_flight import others
from llmroute.plan import Endpoint
from llmroute.render.yaml import Comment

RATELIMIT_CLUSTER: Final = "ratelimit"
TRUSTED_CA: Final = "/etc/ssl/certs/ca-certificates.crt"
"""The authorities whose certificates servers may have, in Envoy's image and on Debian: as in Envoy Gateway."""
_HTTP_OPTIONS: Final = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_TLS: Final = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"


@dataclass(frozen=True, slots=True)
class Clusters:
    """What all clusters have in common: ``trusted_ca`` is a file of Envoy's machine."""

    trusted_ca: str = TRUSTED_CA

    def build(self, name: str, endpoints: tuple[Endpoint, ...], max_in_flight: int | None = None) -> dict[str, Any]:
        """Where ``endpoints`` are. A cluster without any answers 503."""
        made: dict[str, Any] = {
            "name": name,
            **_discovery(endpoints),
            "connect_timeout": "10s",
            "load_assignment": _assignment(name, endpoints),
        }
        if max_in_flight is not None:
            made["circuit_breakers"] = {"thresholds": [_thresholds(max_in_flight)]}
        if any(e.tls for e in endpoints):
            made["transport_socket"] = self._tls(endpoints[0])
        return made

    def _tls(self, endpoint: Endpoint) -> dict[str, Any]:
        kind = "IP_ADDRESS" if endpoint.is_ip else "DNS"
        validation = {
            # Not system_root_certs: Envoy takes that and verifies nothing.
            "trusted_ca": {"filename": self.trusted_ca},
            "match_typed_subject_alt_names": [{"san_type": kind, "matcher": {"exact": endpoint.host}}],
        }
        context: dict[str, Any] = {"@type": _TLS}
        if not endpoint.is_ip:
            context["sni"] = endpoint.host
        context["common_tls_context"] = {"validation_context": validation}
        return {"name": "envoy.transport_sockets.tls", "typed_config": context}


def ratelimit_cluster(address: Endpoint) -> dict[str, Any]:
    """The rate limit service."""
    http2 = {
        "@type": f"type.googleapis.com/{_HTTP_OPTIONS}",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
    return {
        "name": RATELIMIT_CLUSTER,
        **_discovery((address,)),
        "connect_timeout": "1s",
        "typed_extension_protocol_options": {_HTTP_OPTIONS: http2},
        "load_assignment": _assignment(RATELIMIT_CLUSTER, (address,)),
    }


def socket(endpoint: Endpoint) -> dict[str, Any]:
    """An address."""
    return {"socket_address": {"address": endpoint.host, "port_value": endpoint.port}}


def _discovery(endpoints: tuple[Endpoint, ...]) -> dict[str, Any]:
    if all(e.is_ip for e in endpoints):
        return {"type": "STATIC"}
    # As Envoy Gateway does. Envoy's default takes IPv6 where a name has both, reachable or not.
    return {"type": "STRICT_DNS", "dns_lookup_family": "V4_PREFERRED"}


def _thresholds(most: int) -> dict[str, Any]:
    """What is over ``max_requests`` is a 503 at once. The rest must not bind before it does."""
    return {
        "max_requests": Comment("Requests in flight, for this Envoy and this backend alone; more are a 503.", most),
        "max_connections": Comment("HTTP/1.1 takes a connection for each request.", others(most)),
        "max_pending_requests": others(most),
    }


def _assignment(name: str, endpoints: tuple[Endpoint, ...]) -> dict[str, Any]:
    hosts = [{"endpoint": {"address": socket(e)}} for e in endpoints]
    return {"cluster_name": name, "endpoints": [{"lb_endpoints": hosts}]}
