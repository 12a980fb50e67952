"""What a stack is: a gateway with a scripted upstream behind it and counters that can be read."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from llmroute.conformance.adapters.protocol import Unavailable, Upstream
from llmroute.conformance.adapters.stack import Breakable, Stack

__all__ = ["Breakable", "Reloading", "Stack", "Unavailable", "Upstream", "on_envoy_gateway"]


@runtime_checkable
class Reloading(Protocol):
    """A stack whose gateway takes another policy while it serves."""

    def update(self, policy: str) -> None:
        """Put another version of the policy in force, counters as they are; wait until it is."""
        ...


def on_envoy_gateway(stack: object) -> bool:
    """Whether Envoy Gateway makes the configuration: a plain Envoy's is static."""
    return isinstance(stack, Reloading)
