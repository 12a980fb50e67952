"""A refund that a real Envoy sends reaches the embedded service as one."""

from __future__ import annotations

from pathlib import Path
from string import Template

from llmroute.local.envoy import EnvoyProcess
from llmroute.local.ports import http_get
from llmroute.local.ratelimit_service import EmbeddedRateLimit

CONFIG = "domain: d\ndescriptors: [{key: k, rate_limit: {unit: year, requests_per_unit: 30}}]"

# The routes lead to a cluster without endpoints: what is let through gets a 503.
BOOTSTRAP = Template("""\
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}
static_resources:
  clusters:
  - {name: nobody, connect_timeout: 1s}
  - name: ratelimit
    connect_timeout: 1s
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}
    load_assignment:
      cluster_name: ratelimit
      endpoints:
      - lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: $port}}}}]
  listeners:
  - name: main
    enable_reuse_port: false
    address: {socket_address: {address: 127.0.0.1, port_value: 0}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: main
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {prefix: /charge}
                route: {cluster: nobody}
                typed_per_filter_config:
                  ratelimit:
                    "@type": type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimitPerRoute
                    rate_limits:
                    - actions: [{generic_key: {descriptor_key: k, descriptor_value: v}}]
                      hits_addend: {number: 20}
              - match: {prefix: /refund}
                route: {cluster: nobody}
                typed_per_filter_config:
                  ratelimit:
                    "@type": type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimitPerRoute
                    rate_limits:
                    - actions: [{generic_key: {descriptor_key: k, descriptor_value: v}}]
                      hits_addend: {number: 15, is_negative_hits: true}
          http_filters:
          - name: ratelimit
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimit
              domain: d
              timeout: 5s
              failure_mode_deny: true
              rate_limit_service:
                transport_api_version: V3
                grpc_service: {envoy_grpc: {cluster_name: ratelimit}}
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
""")


def test_envoy_charges_and_refunds(tmp_path: Path) -> None:
    """Over the limit is a 429; after the refund there is room again."""
    config = tmp_path / "d.yaml"
    config.write_text(CONFIG)
    with EmbeddedRateLimit([config], lambda: 0.0) as service:
        port = service.address.rpartition(":")[2]
        with EnvoyProcess(BOOTSTRAP.substitute(port=port)) as envoy:
            address = envoy.listener_address("main")
            seen = []
            for path in ("/charge", "/charge", "/refund", "/refund", "/charge"):
                status, _ = http_get(address, path)
                seen.append((status, service.counters()["d_k_v_0"]))
    assert seen == [(503, 20), (429, 40), (503, 25), (503, 10), (503, 30)]
