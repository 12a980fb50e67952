"""The real envoyproxy/ratelimit as a context manager, for ``--ratelimit process`` and for comparison."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final

from llmroute.local.errors import MissingTool
from llmroute.local.ports import free_ports, http_get
from llmroute.local.processes import ManagedProcess
from llmroute.local.tools import named, on_path

RATELIMIT_MODULE: Final = "github.com/envoyproxy/ratelimit/src/service_cmd@v1.4.1-0.20260122083618-3fb702589d36"
"""What ``go install`` builds it from: the revision that everything here is proven with."""


def ratelimit_binary() -> Path:
    """Find envoyproxy/ratelimit on PATH, as ``ratelimit`` or as ``service_cmd`` (Go's name for it).

    Raises:
        MissingTool: when there is none.
    """
    found = on_path("ratelimit", "service_cmd")
    if found is None:
        raise MissingTool(f"envoyproxy/ratelimit is not on PATH: go install {RATELIMIT_MODULE}")
    return found


class RatelimitProcess(ManagedProcess):
    """Runs envoyproxy/ratelimit on configuration files and a Redis (``host:port``).

    Ready when its configuration is loaded and Redis answers. It watches its copy of the files in
    ``workdir``, not the files that were given. Of our environment it sees nothing but PATH. With ``metrics``
    Prometheus can ask it, and hears of what happened up to 10 s later. When Redis
    restarts, each of the ``redis_pool_size`` connections (10 is the service's own default) fails one call.
    """

    name: ClassVar[str] = "ratelimit"

    def __init__(  # noqa: PLR0913 what the service can be told
        self,
        config_files: Sequence[Path],
        redis_address: str,
        workdir: Path | None = None,
        *,
        redis_pool_size: int = 10,
        binary: str | Path | None = None,
        metrics: bool = False,
    ) -> None:
        super().__init__(workdir)
        self._metrics = metrics
        self._redis_pool_size = redis_pool_size
        self._config_files = tuple(config_files)
        self._redis_address = redis_address
        self._binary = binary
        self._http_port = self._grpc_port = self._debug_port = self._metrics_port = 0

    @property
    def address(self) -> str:
        """``host:port`` of the gRPC service."""
        return f"127.0.0.1:{self._grpc_port}"

    @property
    def http_url(self) -> str:
        """``http://host:port`` of ``/healthcheck`` and ``/json``."""
        return f"http://127.0.0.1:{self._http_port}"

    @property
    def debug_url(self) -> str:
        """``http://host:port`` of ``/rlconfig`` and ``/stats``."""
        return f"http://127.0.0.1:{self._debug_port}"

    @property
    def metrics_url(self) -> str:
        """Where Prometheus asks, with ``metrics``."""
        return f"http://127.0.0.1:{self._metrics_port}/metrics"

    @property
    def _runtime(self) -> Path:
        return self.workdir / "ratelimit-runtime"

    def _command(self) -> list[str]:
        program = named(self._binary) if self._binary else ratelimit_binary()
        shutil.rmtree(self._runtime, ignore_errors=True)
        folder = self._runtime / "ratelimit" / "config"
        folder.mkdir(parents=True)
        for number, file in enumerate(self._config_files):
            (folder / f"{number}.yaml").write_bytes(file.read_bytes())
        if not self._grpc_port:
            self._http_port, self._grpc_port, self._debug_port, self._metrics_port = free_ports(4)
        return [str(program)]

    def _environment(self) -> Mapping[str, str]:
        host = "127.0.0.1"
        return {
            "PATH": os.environ.get("PATH", ""),
            "CONFIG_TYPE": "FILE",
            "RUNTIME_ROOT": str(self._runtime),
            "RUNTIME_SUBDIRECTORY": "ratelimit",
            "RUNTIME_WATCH_ROOT": "false",
            "HEALTHY_WITH_AT_LEAST_ONE_CONFIG_LOADED": "true",  # else it is ready with a file it refused
            "REDIS_SOCKET_TYPE": "tcp",
            "REDIS_URL": self._redis_address,
            "REDIS_POOL_SIZE": str(self._redis_pool_size),
            **self._statistics(host),
            "LOG_LEVEL": "warn",
            "HOST": host,
            "PORT": str(self._http_port),
            "GRPC_HOST": host,
            "GRPC_PORT": str(self._grpc_port),
            "DEBUG_HOST": host,
            "DEBUG_PORT": str(self._debug_port),
        }

    def _statistics(self, host: str) -> Mapping[str, str]:
        if self._metrics:
            address = f"{host}:{self._metrics_port}"
            return {"USE_STATSD": "false", "USE_PROMETHEUS": "true", "PROMETHEUS_ADDR": address}
        return {"DISABLE_STATS": "true"}  # with USE_STATSD=false it would log a line for every one

    def _is_ready(self) -> bool:
        return http_get(("127.0.0.1", self._http_port), "/healthcheck")[0] == 200
