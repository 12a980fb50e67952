"""``compose.yaml``: what runs the files of the ``envoy`` target with Docker. Envoy, ratelimit and Redis.

Images and the published port can be set by environment variables; the defaults are the versions that the
tests run. Inside, parts find each other by service name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from llmroute.emit.artifact import Artifact
from llmroute.emit.envoy_static import BOOTSTRAP, EnvoyOptions
from llmroute.emit.stamp import MADE
from llmroute.plan import Endpoint
from llmroute.render.yaml import Comment, dump

COMPOSE: Final = "compose.yaml"
IMAGES: Final[Mapping[str, str]] = {
    "LLMROUTE_ENVOY_IMAGE": "envoyproxy/envoy:v1.39.1",
    "LLMROUTE_RATELIMIT_IMAGE": "envoyproxy/ratelimit:3fb70258",
    "LLMROUTE_REDIS_IMAGE": "redis:7.0.15",
}
"""The default of each environment variable that names an image."""
PORT: Final = "LLMROUTE_PORT"
"""The environment variable that names the gateway's port on this machine."""
ENVOY_SERVICE: Final = "envoy"
RATELIMIT_SERVICE: Final = "ratelimit"
REDIS_SERVICE: Final = "redis"
RATELIMIT_HTTP: Final = 8080
"""Where ratelimit answers ``/healthcheck``."""
REDIS_PORT: Final = 6379
OPTIONS: Final = EnvoyOptions(ratelimit=Endpoint(RATELIMIT_SERVICE, 8081))
"""The bootstrap's addresses: as in the ``envoy`` target, but for ratelimit's."""

_STAMP: Final = f"{MADE}: all that a policy says is in the files beside it."
_GET: Final = r"GET %s HTTP/1.1\r\nhost: llmroute\r\nconnection: close\r\n\r\n"
_HEALTHY: Final = {"interval": "5s", "timeout": "3s", "retries": 12}


def compose(*, secret: bool = False) -> Artifact:
    """``compose.yaml``: the same for every plan, as all that differs is in the files beside it.

    But for one thing: whether the bootstrap is ``secret``, so that its owner alone can read it.
    """
    services = {ENVOY_SERVICE: _envoy(secret=secret), RATELIMIT_SERVICE: _ratelimit(), REDIS_SERVICE: _redis()}
    return Artifact(COMPOSE, dump(Comment(_STAMP, {"services": services, "volumes": {"counters": {}}})))


def _image(variable: str) -> str:
    return f"${{{variable}:-{IMAGES[variable]}}}"


def _envoy(*, secret: bool) -> dict[str, Any]:
    root = Comment("The bootstrap holds clients' keys, and nobody else may read it.", {"ENVOY_UID": "0"})
    return {
        "image": _image("LLMROUTE_ENVOY_IMAGE"),
        "command": ["envoy", "-c", "/etc/envoy/envoy.yaml", "--log-level", "warning"],
        **({"environment": root} if secret else {}),
        "volumes": [f"./{BOOTSTRAP}:/etc/envoy/envoy.yaml:ro"],
        "ports": [
            Comment("Loopback: put something with TLS in front before others may come.", _published()),
        ],
        "extra_hosts": [
            Comment("For models that run on this machine.", "host.docker.internal:host-gateway"),
        ],
        "depends_on": {RATELIMIT_SERVICE: {"condition": "service_started"}},
        "healthcheck": Comment(
            "ratelimit's image has nothing that could ask it, so it is asked from here.",
            {"test": ["CMD", "bash", "-c", _health_script()], **_HEALTHY},
        ),
        "restart": "unless-stopped",
    }


def _published() -> str:
    return f"127.0.0.1:${{{PORT}:-8080}}:{OPTIONS.listen.port}"


def _health_script() -> str:
    """Asks Envoy and ratelimit for a 200, with nothing but bash: Envoy's image has no HTTP client."""
    asks = [
        f"exec 3<>/dev/tcp/{host}/{port} && printf '{_GET}' {path} >&3 && grep -q '^HTTP/1.1 200 ' <&3"
        for host, port, path in (
            (OPTIONS.admin.host, OPTIONS.admin.port, "/ready"),
            (RATELIMIT_SERVICE, RATELIMIT_HTTP, "/healthcheck"),
        )
    ]
    return " && ".join(asks)


def _ratelimit() -> dict[str, Any]:
    return {
        "image": _image("LLMROUTE_RATELIMIT_IMAGE"),
        "command": ["/bin/ratelimit"],
        "volumes": ["./ratelimit:/data/ratelimit/config:ro"],
        "environment": {
            "CONFIG_TYPE": "FILE",
            "RUNTIME_ROOT": "/data",
            "RUNTIME_SUBDIRECTORY": "ratelimit",
            "RUNTIME_WATCH_ROOT": "false",
            "HEALTHY_WITH_AT_LEAST_ONE_CONFIG_LOADED": Comment(
                "Else it says that it is healthy with a configuration that it refused.", "true"
            ),
            "REDIS_SOCKET_TYPE": "tcp",
            "REDIS_URL": f"{REDIS_SERVICE}:{REDIS_PORT}",
            "DISABLE_STATS": Comment("Else it logs every call.", "true"),
            "LOG_LEVEL": "warn",
        },
        "depends_on": {REDIS_SERVICE: {"condition": "service_healthy"}},
        "restart": "unless-stopped",
    }


def _redis() -> dict[str, Any]:
    return {
        "image": _image("LLMROUTE_REDIS_IMAGE"),
        "command": Comment(
            "On disk, as a restart without it gives everybody a new window. Reached from this network alone.",
            ["redis-server", "--appendonly", "yes", "--save", "", "--dir", "/data", "--protected-mode", "no"],
        ),
        "volumes": ["counters:/data"],
        "healthcheck": {"test": ["CMD", "redis-cli", "ping"], **_HEALTHY},
        "restart": "unless-stopped",
    }
