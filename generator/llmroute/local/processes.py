"""The owner of a child process: starts it, waits until it serves, and leaves nothing behind.

A managed process is its own process group, so that Ctrl-C reaches us alone and a stop reaches all of
it. When this process is killed, Linux kills the child (``PR_SET_PDEATHSIG``).
"""

from __future__ import annotations

import abc
import functools
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import ClassVar, Final, Self

from llmroute.local.errors import LocalError, MissingTool, StartError
from llmroute.local.ports import free_port, port_is_free
from llmroute.local.tools import named

__all__ = ["LocalError", "ManagedProcess", "MissingTool", "StartError", "free_port", "port_is_free"]

_POLL: Final = 0.01
"""Seconds between two looks at a condition."""
_LAST_LINES: Final = 15

# Runs in the child, before the program takes its place. The parent may have died meanwhile: then the
# signal would never come. (A preexec_fn would run in a fork of this process, which gRPC's threads forbid.)
_DIE_WITH_PARENT: Final = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9)
if os.getppid() != int(sys.argv[1]):
    sys.exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""


class ManagedProcess(abc.ABC):
    """A program that serves while the ``with`` block runs.

    ``workdir`` holds its files and its log; without one it is temporary and goes with the process.

    Raises (on entering):
        StartError: when it ends early or is not ready in time; nothing of it is left then.
        MissingTool: when the program is not there.
    """

    name: ClassVar[str]
    """What errors and the log file call it."""
    ready_within: ClassVar[float] = 15.0
    """Seconds from start to readiness."""
    stop_within: ClassVar[float] = 5.0
    """Seconds from SIGTERM to SIGKILL."""

    def __init__(self, workdir: Path | None = None) -> None:
        self._given_workdir = workdir
        self._workdir: Path | None = None
        self._spawned: Future[subprocess.Popen[bytes]] | None = None
        self._exits = ExitStack()

    @abc.abstractmethod
    def _command(self) -> list[str]:
        """Write what the program needs into ``workdir``, and name the program by its full path."""

    @abc.abstractmethod
    def _is_ready(self) -> bool:
        """Ask the program, without waiting; an OSError means no."""

    def _environment(self) -> Mapping[str, str] | None:
        """Environment of the program; None for ours."""
        return None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def workdir(self) -> Path:
        """Folder of its files, while it runs."""
        if self._workdir is None:
            raise LocalError(f"{self.name} is not running")
        return self._workdir

    @property
    def log_path(self) -> Path:
        """What it writes to stdout and stderr."""
        return self.workdir / f"{self.name}.log"

    @property
    def pid(self) -> int:
        """Its process id, and that of its group."""
        return self._process().pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; below 0 for a signal."""
        return self._process().poll()

    def log_tail(self, lines: int = _LAST_LINES) -> str:
        """Last lines of its log."""
        with suppress(FileNotFoundError):
            return "\n".join(self.log_path.read_text("utf-8", "replace").splitlines()[-lines:])
        return ""

    def start(self) -> None:
        """Start it and wait until it is ready; ``with`` does this."""
        if self._spawned is not None:
            raise LocalError(f"{self.name} is running already")
        try:
            self._make_workdir()
            self._spawn()
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop it, first politely; does nothing when it is not running."""
        try:
            if self._spawned is not None and self._spawned.exception() is None:
                _end(self._spawned.result(), self.stop_within)
        finally:
            self._spawned = self._workdir = None
            self._exits.close()

    def _make_workdir(self) -> None:
        if self._given_workdir is None:
            prefix = f"llmroute-{self.name}-"
            self._workdir = Path(self._exits.enter_context(tempfile.TemporaryDirectory(prefix=prefix)))
        else:
            self._workdir = self._given_workdir.absolute()
            self._workdir.mkdir(parents=True, exist_ok=True)

    def _spawn(self) -> None:
        command = self._command()
        named(command[0])
        if sys.platform == "linux":
            launcher = [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid())]
            command = launcher + command
        with self.log_path.open("wb") as log:
            self._spawned = _spawner(os.getpid()).submit(
                subprocess.Popen[bytes],
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.workdir,
                env=self._environment(),
                process_group=0,
            )
            try:
                self._spawned.result()
            except OSError as error:
                raise StartError(f"{self.name} cannot be started: {error}") from error

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + self.ready_within
        while True:
            ready = False
            with suppress(OSError):
                ready = self._is_ready()
            if self.exit_code is not None:
                raise self._start_error(f"ended with exit code {self.exit_code}")
            if ready:
                return
            if time.monotonic() > deadline:
                raise self._start_error(f"was not ready within {self.ready_within:g} s")
            time.sleep(_POLL)

    def _start_error(self, what: str) -> StartError:
        tail = self.log_tail()
        return StartError(f"{self.name} {what}" + (f"; its log ends with:\n{tail}" if tail else ""))

    def _process(self) -> subprocess.Popen[bytes]:
        if self._spawned is None:
            raise LocalError(f"{self.name} is not running")
        return self._spawned.result()


@functools.cache
def _spawner(_pid: int) -> ThreadPoolExecutor:
    """Give the one thread that starts children: a child dies with the *thread* that started it.

    One per process, so that a fork of ours gets its own.
    """
    return ThreadPoolExecutor(1, thread_name_prefix="llmroute-spawner")


def _end(process: subprocess.Popen[bytes], within: float) -> None:
    """Terminate the process group, then kill what is left of it."""
    with suppress(ProcessLookupError):
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
    try:
        with suppress(subprocess.TimeoutExpired):
            process.wait(within)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
