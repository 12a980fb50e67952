"""The rate limit service of a stack, taken away and given back while the gateway serves."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from llmroute.conformance.adapters.protocol import Outage
from llmroute.local.processes import ManagedProcess
from llmroute.local.ratelimit_service import EmbeddedRateLimit

_WITHIN: Final = 10.0
_STEP: Final = 0.001
"""Seconds between two looks at the threads of a process."""


def _state(thread: Path) -> str:
    return (thread / "stat").read_text("ascii").rpartition(")")[2].split()[0]


@dataclass
class ProcessOutage:
    """Of a process that counts: the real service, or a Redis."""

    service: ManagedProcess

    def kill(self) -> None:
        """As a crash would."""
        os.kill(self.service.pid, signal.SIGKILL)
        self.service.stop()

    def start(self) -> None:
        """On the same ports."""
        self.service.start()

    def freeze(self) -> None:
        """Stopped, its connections open."""
        os.kill(self.service.pid, signal.SIGSTOP)
        # The signal takes each thread when it is next scheduled; until then one of them may answer.
        deadline = time.monotonic() + _WITHIN
        while any(_state(thread) not in "Tt" for thread in Path(f"/proc/{self.service.pid}/task").iterdir()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.service.name} runs on {_WITHIN} s after SIGSTOP")
            time.sleep(_STEP)

    def thaw(self) -> None:
        """It goes on where it stood."""
        os.kill(self.service.pid, signal.SIGCONT)


@dataclass(frozen=True, slots=True)
class EmbeddedOutage:
    """Of the embedded one. ``flow`` is what its clock waits for; counts outlive its end."""

    service: EmbeddedRateLimit
    flow: threading.Event = field(default_factory=threading.Event)

    def kill(self) -> None:
        """Its port is closed."""
        self.service.stop()

    def start(self) -> None:
        """On the same port."""
        self.service.start()

    def freeze(self) -> None:
        """Whoever asks for the time waits."""
        self.flow.clear()

    def thaw(self) -> None:
        """Time is told again."""
        self.flow.set()


@contextlib.contextmanager
def killed(outage: Outage) -> Iterator[None]:
    """The service is dead in the block."""
    outage.kill()
    try:
        yield
    finally:
        outage.start()


@contextlib.contextmanager
def frozen(outage: Outage) -> Iterator[None]:
    """The service hangs in the block."""
    outage.freeze()
    try:
        yield
    finally:
        outage.thaw()
