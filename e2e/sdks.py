"""The SDKs of the conformance suite, at a stack and under a test's clock."""

from __future__ import annotations

import pytest

from e2e.stacks import Stack
from llmroute.conformance import sdks, sleeps
from llmroute.conformance.sdks import CALLS, Call
from llmroute.conformance.sleeps import SLEEPERS

__all__ = ["CALLS", "Call", "Caller", "Sleeps"]


class Sleeps(sleeps.Sleeps):
    """Stands in for the clock of the SDKs until the test ends."""

    def take_over(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Become the clock of all three SDKs."""
        for module in SLEEPERS:
            monkeypatch.setattr(f"{module}.time", self)


class Caller(sdks.Caller):
    """One user at a stack."""

    def __init__(self, stack: Stack) -> None:
        super().__init__(stack)
        self.stack = stack
