"""What a stack is: a gateway with a scripted upstream behind it and counters that can be read."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self, runtime_checkable

from e2e.stacks.outage import Outage
from llmroute.conformance.upstream import Served


class Unavailable(Exception):  # noqa: N818 it is no error of the stack's
    """The stack cannot run here; the message names the missing capability."""


class Upstream(Protocol):
    """The scripted upstream, in this process or in a container."""

    def served(self, request_id: str) -> Served | None:
        """What was served for a request, by its ``x-llmroute-request``; None if it never came."""
        ...

    def release(self, name: str) -> None:
        """Let everything go on that holds for ``name``, now and later."""
        ...


@runtime_checkable
class Reloading(Protocol):
    """A stack whose gateway takes another policy while it serves."""

    def update(self, policy: str) -> None:
        """Put another version of the policy in force, counters as they are; wait until it is."""
        ...


@runtime_checkable
class Breakable(Protocol):
    """A stack whose rate limit service can be away. ``fail_closed`` says what holds then, from the next policy on."""

    fail_closed: bool

    def outage(self) -> Outage:
        """Of the service of the policy in force."""
        ...


def on_envoy_gateway(stack: object) -> bool:
    """Whether Envoy Gateway makes the configuration: a plain Envoy's is static."""
    return isinstance(stack, Reloading)


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
