"""Stacks: gateways that take an LLMRoute as it is, and the adapter that any of them makes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Protocol, Self, runtime_checkable

from llmroute import __version__
from llmroute.conformance.adapters.protocol import Clock, Gateway, Outage, Upstream
from llmroute.conformance.features import Admission, Feature

LLMROUTE: Final = frozenset(Feature) - {
    Feature.CLOCK,
    Feature.OUTAGE,
    Feature.SDKS,
    Feature.UPGRADES,
    Feature.FAIL_OPEN,
}
"""What every gateway has that runs our configuration and whose counters can be read."""


class Stack(Protocol):
    """Started by ``with``, stopped by its end; nothing is left behind then."""

    @property
    def upstream(self) -> Upstream:
        """Where every backend of every policy leads."""
        ...

    @property
    def url(self) -> str:
        """Where the gateway takes traffic, once a policy is applied."""
        ...

    def apply(self, policy: str) -> None:
        """Put a policy (a YAML stream) in force in place of the one before, with empty counters; wait until it is."""
        ...

    def used(self, limit: int, *values: str) -> int:
        """The counter of the ``limit``-th limit of the policy (from 0), for these values of its Distinct headers."""
        ...

    def logs(self) -> str:
        """What the parts have to say, for a failed test."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@runtime_checkable
class Breakable(Protocol):
    """A stack whose rate limit service can be away. ``fail_closed`` says what holds then, from the next policy on."""

    fail_closed: bool

    def outage(self) -> Outage:
        """Of the service of the policy in force."""
        ...


@runtime_checkable
class Timed(Protocol):
    """A stack whose time stands still until somebody sets it; in Unix seconds."""

    now: float


@dataclass
class StackClock:
    """Of a stack whose time can be set."""

    stack: Timed

    @property
    def now(self) -> float:
        """In Unix seconds."""
        return self.stack.now

    def set(self, seconds: float) -> None:
        """Go there."""
        self.stack.now = seconds


@dataclass
class StackGateway:
    """The gateway of a stack that has this policy in force."""

    stack: Stack
    policy: str

    @property
    def url(self) -> str:
        """Where it takes traffic."""
        return self.stack.url

    def used(self, limit: int, *values: str) -> int:
        """A counter, from the stack."""
        return self.stack.used(limit, *values)

    def reset(self) -> None:
        """A policy that is in force already is applied by emptying its counters."""
        self.stack.apply(self.policy)

    @property
    def clock(self) -> Clock:
        """Of a stack that is ``Timed``."""
        if not isinstance(self.stack, Timed):
            raise TypeError("the time of this stack cannot be set")
        return StackClock(self.stack)

    @property
    def outage(self) -> Outage:
        """Of a stack that is ``Breakable``."""
        if not isinstance(self.stack, Breakable):
            raise TypeError("the service of this stack cannot be taken away")
        return self.stack.outage()

    def logs(self) -> str:
        """Of the stack."""
        return self.stack.logs()


@dataclass
class StackAdapter:
    """A stack of this name. ``parts`` says which versions it is made of.

    ``more``: what it can do beside ``LLMROUTE``. ``less``: what of that it cannot.
    """

    name: str
    stack: Stack
    parts: str = ""
    more: frozenset[Feature] = frozenset()
    less: frozenset[Feature] = frozenset()
    admission: Admission = field(default=Admission.BELOW, init=False)
    settles: float = field(default=0.0, init=False)

    @property
    def version(self) -> str:
        """Of llmroute and of the parts."""
        return ", ".join(filter(None, (f"llmroute {__version__}", self.parts)))

    @property
    def features(self) -> frozenset[Feature]:
        """What the stack shows of itself by its protocols, and the rest."""
        found = {Feature.CLOCK} if isinstance(self.stack, Timed) else set()
        found |= {Feature.OUTAGE, Feature.FAIL_OPEN} if isinstance(self.stack, Breakable) else set()
        return (LLMROUTE | self.more | found) - self.less

    @property
    def upstream(self) -> Upstream:
        """Of the stack."""
        return self.stack.upstream

    @contextlib.contextmanager
    def serve(self, policy: str, *, fail_open: bool = False) -> Iterator[Gateway]:
        """The stack keeps a policy until the next one comes: that is its own economy."""
        if isinstance(self.stack, Breakable):
            self.stack.fail_closed = not fail_open
        self.stack.apply(policy)
        try:
            yield StackGateway(self.stack, policy)
        finally:
            if isinstance(self.stack, Breakable):
                self.stack.fail_closed = True

    def __enter__(self) -> Self:
        self.stack.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.__exit__(None, None, None)
