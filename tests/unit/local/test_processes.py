"""Owners of processes: ready, stopped, and never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import ClassVar

import pytest

from llmroute.conformance.exchange import wait_for
from llmroute.local.errors import LocalError, MissingTool, StartError
from llmroute.local.processes import ManagedProcess


class Shell(ManagedProcess):
    """A shell script that is ready when it has said so."""

    name: ClassVar[str] = "shell"
    stop_within: ClassVar[float] = 0.3

    def __init__(self, script: str, workdir: Path | None = None, ready_within: float = 10.0) -> None:
        super().__init__(workdir)
        self._script = script
        self.ready_within = ready_within  # type: ignore[misc]  # of this one alone

    def _command(self) -> list[str]:
        return ["/bin/sh", "-c", self._script]

    def _is_ready(self) -> bool:
        return "ready" in self.log_tail()


def is_running(pid: int) -> bool:
    """Tell whether a process is there and no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def test_it_runs_in_the_block_and_not_after_it() -> None:
    """With a folder of its own that goes with it."""
    with Shell("echo ready; exec sleep 100") as shell:
        pid, workdir = shell.pid, shell.workdir
        assert shell.exit_code is None
        assert is_running(pid)
        assert shell.log_tail() == "ready"
    assert not is_running(pid)
    assert not workdir.exists()


def test_a_given_workdir_and_its_log_stay(tmp_path: Path) -> None:
    """They are the caller's."""
    with Shell("echo ready; exec sleep 100", tmp_path / "new"):
        pass
    assert (tmp_path / "new" / "shell.log").read_text() == "ready\n"


def test_an_error_in_the_block_stops_it_too() -> None:
    """And comes through as it was."""
    pids = []

    def fail() -> None:
        with Shell("echo ready; exec sleep 100") as shell:
            pids.append(shell.pid)
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        fail()
    assert not is_running(pids[0])


def test_a_process_that_ends_early_says_its_last_words() -> None:
    """At once, not at the deadline."""
    began = time.monotonic()
    with pytest.raises(StartError, match=r"shell ended with exit code 3; its log ends with:\nsome\nwords"):
        Shell("echo some; echo words; exit 3").start()
    assert time.monotonic() - began < 5


def test_a_process_that_never_gets_ready_is_stopped(tmp_path: Path) -> None:
    """After its time; nothing of it is left."""
    shell = Shell("echo $$; exec sleep 100", tmp_path, ready_within=0.5)
    with pytest.raises(StartError, match=r"was not ready within 0\.5 s"):
        shell.start()
    pid = int((tmp_path / "shell.log").read_text())
    assert not is_running(pid)
    with pytest.raises(LocalError, match="shell is not running"):
        _ = shell.pid


def test_an_error_while_it_starts_stops_it(tmp_path: Path) -> None:
    """Ctrl-C, for instance."""

    class Interrupted(Shell):
        def _is_ready(self) -> bool:
            if super()._is_ready():
                raise KeyboardInterrupt
            return False

    with pytest.raises(KeyboardInterrupt):
        Interrupted("echo ready $$; exec sleep 100", tmp_path).start()
    assert not is_running(int((tmp_path / "shell.log").read_text().split()[1]))


def test_deaf_processes_and_their_children_are_killed() -> None:
    """The whole group, when SIGTERM does nothing."""
    script = "trap '' TERM; sleep 100 & echo $!; echo ready; wait"
    with Shell(script) as shell:
        pid, child = shell.pid, int(shell.log_tail().split()[0])
    assert not is_running(pid)
    assert wait_for(lambda: not is_running(child))


def test_it_can_be_started_again_but_not_twice() -> None:
    """One object is one process at a time."""
    shell = Shell("echo ready; exec sleep 100")
    with shell:
        first = shell.pid
        with pytest.raises(LocalError, match="running already"):
            shell.start()
        assert is_running(first)
    with shell:
        assert shell.pid != first
    shell.stop()


def test_a_process_outlives_the_thread_that_asked_for_it() -> None:
    """Linux would kill it with the thread that forked, so that is another one."""
    shell = Shell("echo ready; exec sleep 100")
    thread = threading.Thread(target=shell.start)
    thread.start()
    thread.join()
    try:
        assert not wait_for(lambda: shell.exit_code is not None, within=0.3)
    finally:
        shell.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="no PR_SET_PDEATHSIG on this system")
def test_a_killed_parent_leaves_nothing_behind() -> None:
    """Even SIGKILL, which no handler sees."""
    code = (
        "import sys\n"
        "from llmroute.local.valkey import ValkeyProcess\n"
        "with ValkeyProcess() as valkey:\n"
        "    print(valkey.pid, valkey.workdir, flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid, workdir = parent.stdout.readline().split()
        assert is_running(int(pid))
        os.kill(parent.pid, signal.SIGKILL)
    assert wait_for(lambda: not is_running(int(pid)))
    Path(workdir, "valkey.log").unlink()
    Path(workdir).rmdir()


def test_a_program_that_is_not_there_is_missing(tmp_path: Path) -> None:
    """With its name."""

    class Missing(Shell):
        def _command(self) -> list[str]:
            return [str(tmp_path / "no-such-program")]

    with pytest.raises(MissingTool, match="no-such-program"):
        Missing("").start()
