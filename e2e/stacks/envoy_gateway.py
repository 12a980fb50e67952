"""Envoy Gateway on this machine (File provider, Host infrastructure), and the ratelimit service that it configures.

Envoy Gateway starts the Envoy of its Gateway itself, in its own process group, so that it ends with it.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Final

import yaml

from e2e.stacks.host_documents import CONTROLLER
from llmroute.local.envoy import envoy_binary
from llmroute.local.errors import StartError
from llmroute.local.ports import free_ports, http_get, split_address
from llmroute.local.processes import ManagedProcess
from llmroute.local.ratelimit import RatelimitProcess

PORTS: Final = (8081, 18000, 18001, 18002, 19000, 19001, 19003)
"""Ports that nobody can choose: health, xDS, that of ratelimit, wasm, admin, metrics, and readiness of its Envoy."""
_LOOPBACK: Final = "127.0.0.1"
_XDS_PORT: Final = 18001
_HEALTH_PORT: Final = 8081
_CERTIFICATES_WITHIN: Final = 60.0


class EnvoyGatewayProcess(ManagedProcess):
    """Runs Envoy Gateway on documents, and by it an Envoy; ready when it says so, which is before Envoy is.

    ``home`` keeps its certificates from one process to the next: ``make_home`` prepares it.
    """

    name: ClassVar[str] = "envoy-gateway"
    ready_within: ClassVar[float] = 30.0

    def __init__(
        self,
        program: Path,
        home: Path,
        documents: Iterable[Mapping[str, Any]],
        redis_address: str,
        *,
        fail_closed: bool = True,
    ) -> None:
        super().__init__()
        self._fail_closed = fail_closed
        self._program = program
        self._home = home
        self._documents = list(documents)
        self._redis_address = redis_address

    @property
    def envoy_admin(self) -> tuple[str, int] | None:
        """Host and port of Envoy's admin interface, once it has one."""
        for file in self.workdir.glob("runtime/*/admin-address.txt"):
            if text := file.read_text("ascii").strip():
                return split_address(text)
        return None

    def _command(self) -> list[str]:
        resources = self.workdir / "resources"
        resources.mkdir()
        self.write(self._documents)
        config = self.workdir / "envoy-gateway.yaml"
        config.write_text(yaml.safe_dump(self._config(resources), sort_keys=False), "utf-8")
        return [str(self._program), "server", "--config-path", str(config)]

    def write(self, documents: Iterable[Mapping[str, Any]]) -> None:
        """Write the documents that it watches, all at once."""
        new = self.workdir / "documents.yaml"
        new.write_text(yaml.safe_dump_all(list(documents), sort_keys=False), "utf-8")
        new.replace(self.workdir / "resources" / "documents.yaml")

    def _config(self, resources: Path) -> dict[str, Any]:
        folders = {
            "configHome": str(self._home / "config"),
            "dataHome": str(self._home / "data"),
            "stateHome": str(self.workdir / "state"),
            "runtimeDir": str(self.workdir / "runtime"),
        }
        custom = {
            "resource": {"type": "File", "file": {"paths": [str(resources)]}},
            "infrastructure": {"type": "Host", "host": folders},
        }
        redis = {"type": "Redis", "redis": {"url": f"redis://{self._redis_address}"}}
        return {
            "apiVersion": "gateway.envoyproxy.io/v1alpha1",
            "kind": "EnvoyGateway",
            "gateway": {"controllerName": CONTROLLER},
            "provider": {"type": "Custom", "custom": custom},
            "extensionApis": {"enableLua": True, "enableBackend": True, "enableEnvoyPatchPolicy": True},
            "rateLimit": {"backend": redis, "timeout": "1s", "failClosed": self._fail_closed},
        }

    def _environment(self) -> Mapping[str, str]:
        return {"PATH": os.environ.get("PATH", ""), "HOME": str(self.workdir), "TMPDIR": str(self.workdir)}

    def _is_ready(self) -> bool:
        return http_get((_LOOPBACK, _HEALTH_PORT), "/readyz")[0] == 200


def make_home(program: Path, home: Path, envoy_version: str) -> None:
    """Make the certificates, and put Envoy where Envoy Gateway would download it to.

    Raises:
        StartError: Envoy Gateway cannot make certificates.
    """
    command = [str(program), "certgen", "--local", "--config-home", str(home / "config")]
    done = subprocess.run(
        command, cwd=home, env={"PATH": os.environ.get("PATH", ""), "HOME": str(home)},
        capture_output=True, text=True, check=False, timeout=_CERTIFICATES_WITHIN,
    )  # fmt: skip
    if done.returncode:
        raise StartError(f"envoy-gateway certgen ends with exit code {done.returncode}: {done.stdout}{done.stderr}")
    envoy = home / "data" / "envoy-versions" / envoy_version / "bin" / "envoy"
    envoy.parent.mkdir(parents=True)
    envoy.symlink_to(envoy_binary())


def envoy_certificates(home: Path) -> Path:
    """The folder with what Envoy shows Envoy Gateway, and by what it knows that."""
    return home / "config" / "certs" / "envoy"


class GatewayRatelimit(RatelimitProcess):
    """Runs envoyproxy/ratelimit on what Envoy Gateway tells it; ready when ``wanted`` is all that it has.

    Its ports are the same from one start to the next, as Envoy Gateway is told of them before.
    """

    ready_within: ClassVar[float] = 30.0

    def __init__(self, program: Path, home: Path, redis_address: str) -> None:
        super().__init__([], redis_address, binary=program)
        self._http_port, self._grpc_port, self._debug_port = free_ports(3)
        self._certificates = home / "config" / "certs" / "envoy-rate-limit"
        self.wanted: frozenset[str] = frozenset()
        """Limits as ``/rlconfig`` shows them: entries, unit and quantity."""

    def _environment(self) -> Mapping[str, str]:
        certificates = self._certificates
        xds = {
            "CONFIG_TYPE": "GRPC_XDS_SOTW",
            "CONFIG_GRPC_XDS_NODE_ID": "envoy-ratelimit",
            "CONFIG_GRPC_XDS_SERVER_URL": f"{_LOOPBACK}:{_XDS_PORT}",
            "CONFIG_GRPC_XDS_SERVER_USE_TLS": "true",
            "CONFIG_GRPC_XDS_SERVER_TLS_SAN": "envoy-gateway",
            "CONFIG_GRPC_XDS_SERVER_TLS_CACERT": str(certificates / "ca.crt"),
            "CONFIG_GRPC_XDS_CLIENT_TLS_CERT": str(certificates / "tls.crt"),
            "CONFIG_GRPC_XDS_CLIENT_TLS_KEY": str(certificates / "tls.key"),
            "FORCE_START_WITHOUT_INITIAL_CONFIG": "true",
            "XDS_CLIENT_BACKOFF_INITIAL_INTERVAL": "100ms",
            "XDS_CLIENT_BACKOFF_MAX_INTERVAL": "500ms",
        }
        return {**super()._environment(), **xds}

    def wait_until_wanted(self) -> None:
        """Wait until ``wanted`` is all that it has."""
        self._wait_until_ready()

    def _is_ready(self) -> bool:
        _, shown = http_get((_LOOPBACK, self._debug_port), "/rlconfig")
        return frozenset(shown.decode().splitlines()) == self.wanted
