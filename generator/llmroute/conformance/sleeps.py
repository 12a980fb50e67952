"""How long an SDK waits. It does not: its sleep is written down, and whoever listens may turn the clock."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

SLEEPERS: Final = ("openai._base_client", "anthropic._base_client", "tenacity.nap")
"""Modules of the SDKs that sleep by the ``time`` that they imported."""


@dataclass
class Sleeps:
    """Stands in for the module ``time`` of an SDK. ``seconds`` says how long it would have slept."""

    seconds: list[float] = field(default_factory=list)
    then: Callable[[float], None] = lambda _: None

    def sleep(self, seconds: float) -> None:
        """Write it down, and let time pass by ``then``."""
        self.seconds.append(seconds)
        self.then(seconds)

    def __getattr__(self, name: str) -> Any:
        """Everything else is as it was."""
        return getattr(time, name)

    @contextmanager
    def instead(self) -> Iterator[None]:
        """Be the clock of all three SDKs in the block."""
        modules = [importlib.import_module(name) for name in SLEEPERS]
        before = [vars(module)["time"] for module in modules]
        for module in modules:
            vars(module)["time"] = self
        try:
            yield
        finally:
            for module, clock in zip(modules, before, strict=True):
                vars(module)["time"] = clock
