"""How a command is told to stop: a signal at any moment ends its waiting."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

# The moments are those in which the command begins to wait. SIGALRM, as a timer sends it within microseconds.
ROUNDS: Final = """
import signal
from llmroute.cli.stop import Stop
for n in range(300):
    stop = Stop()
    signal.signal(signal.SIGALRM, signal.getsignal(signal.SIGTERM))
    signal.setitimer(signal.ITIMER_REAL, (5 + n % 60) * 1e-6)
    while not stop.wait(0.01):
        pass
    assert not stop.is_set()
"""
SET_BEFORE: Final = """
import os, signal
from llmroute.cli.stop import Stop
stop = Stop()
assert not stop.wait(0)
os.kill(os.getpid(), signal.SIGINT)
assert stop.is_set() and stop.wait(60)
"""


def run(script: str) -> None:
    """In a process of its own, whose handlers they are; it has to end."""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_no_signal_is_lost_and_none_hangs() -> None:
    """Three hundred of them, microseconds after the waiting begins; with ``threading.Event`` it hung in every try."""
    run(ROUNDS)


def test_one_that_came_before_is_seen() -> None:
    """Before the command waits."""
    run(SET_BEFORE)
