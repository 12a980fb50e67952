"""A reader of the documents at a laptop, who types what a page shows: one terminal that serves, and another."""

from __future__ import annotations

import contextlib
import shlex
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path


def do(folder: Path, command: str, *, answer: str = "", within: float = 60) -> str:
    """What a command prints; it has to be fine. ``answer``: to what it asks."""
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, input=answer, capture_output=True, text=True, timeout=within, check=False
    )
    assert (done.returncode, "error" in done.stderr) == (0, False), done.stderr
    return done.stdout


@contextlib.contextmanager
def running(folder: Path, command: str, lines: int = 1) -> Iterator[list[str]]:
    """A command in the other terminal, and what its first ``lines`` say; in the end Ctrl-C, and it ends cleanly."""
    process = subprocess.Popen(
        shlex.split(command), cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout
    with interrupted(process):
        yield [process.stdout.readline().strip().partition(": ")[2] for _ in range(lines)]


@contextlib.contextmanager
def interrupted(process: subprocess.Popen[str]) -> Iterator[None]:
    """Ctrl-C at the end of the block, and it ends cleanly; in any case it ends."""
    try:
        yield
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
        assert (process.returncode, err) == (0, "")
    finally:
        process.kill()
        process.communicate()
