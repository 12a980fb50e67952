"""The upstream and the generator of ``tools/load`` as processes."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from e2e.cost.loads import Load
from e2e.stacks.tools import tool
from llmroute.local.ports import http_get, split_address
from llmroute.local.processes import ManagedProcess

_WITHIN = 600.0
"""Seconds for one measurement."""


class DriveError(RuntimeError):
    """The generator failed, or a gateway answered otherwise than it should; says what happened."""


class Upstream(ManagedProcess):
    """Serves chat completions as their requests' ``x-load-answer`` says; ready when it answers.

    Raises ``e2e.stacks.protocol.Unavailable`` on entering when ``load`` is not built.
    """

    name: ClassVar[str] = "upstream"

    def _command(self) -> list[str]:
        return [str(tool("load")), "serve"]

    def _is_ready(self) -> bool:
        said = self.log_path.read_text("ascii")
        return said.endswith("\n") and http_get(split_address(said), "/")[0] == 400  # a request without a wish

    @property
    def address(self) -> str:
        """``127.0.0.1:port``."""
        return self.log_path.read_text("ascii").strip()


@dataclass(frozen=True, slots=True)
class Driven:
    """What the generator saw. Times are milliseconds, by quantile: ``p50``, ``p90``, ``p99``.

    ``first`` is how long until the first byte of a body was there, ``latency`` until its end was.
    """

    requests: int
    seconds: float
    latency: dict[str, float]
    first: dict[str, float]

    @classmethod
    def read(cls, said: dict[str, Any]) -> Self:
        """From what the generator prints.

        Raises:
            DriveError: not every answer was a 200.
        """
        if said["statuses"] != {"200": said["requests"]}:
            raise DriveError(f"answers by status: {said['statuses']}, not {said['requests']} times 200")
        return cls(said["requests"], said["seconds"], said["latency"], said["first"])


def drive(url: str, load: Load, requests: int, users: str) -> Driven:
    """Ask for ``load`` so many times at ``url``; the name of a connection's user begins with ``users``.

    Raises:
        DriveError: an answer was none, cut off, or of another status than 200.
    """
    command = [str(tool("load")), "drive", *_arguments(url, load.answer, load.connections, users)]
    command += ["-requests", str(requests), "-body", str(load.body), f"-usage={str(load.usage).lower()}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_WITHIN)
    if done.returncode:
        raise DriveError(f"{load.name} at {url}: {done.stderr.strip()}")
    return Driven.read(json.loads(done.stdout))


@contextlib.contextmanager
def holding(url: str, streams: int, users: str) -> Iterator[None]:
    """So many streams are open in the block: of each the first deltas have come, and nothing more does.

    Raises:
        DriveError: they cannot be opened.
    """
    command = [str(tool("load")), "hold", *_arguments(url, "hold 2", streams, users)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        try:
            if process.stdout.readline() != f"holding {streams}\n":
                raise DriveError(f"{streams} streams at {url}: {process.stderr.read().strip()}")
            yield
        finally:
            process.stdin.close()


def _arguments(url: str, answer: str, connections: int, users: str) -> list[str]:
    return ["-url", url, "-answer", answer, "-connections", str(connections), "-users", users]
