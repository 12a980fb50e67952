"""What a stack is: a gateway with a scripted upstream behind it and counters that can be read."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from llmroute.conformance.adapters.protocol import Unavailable, Upstream
from llmroute.conformance.adapters.stack import Breakable, Stack
from llmroute.targets import LUA, WASM

__all__ = [
    "Breakable",
    "OnEngine",
    "Reloading",
    "Stack",
    "Unavailable",
    "Upstream",
    "charges_alone",
    "engine_of",
    "on_envoy_gateway",
]


@runtime_checkable
class Reloading(Protocol):
    """A stack whose gateway takes another policy while it serves."""

    def update(self, policy: str) -> None:
        """Put another version of the policy in force, counters as they are; wait until it is."""
        ...


@runtime_checkable
class OnEngine(Protocol):
    """A stack whose filter runs on an engine that somebody chose."""

    engine: str


def engine_of(stack: object) -> str:
    """What the filter runs on."""
    return stack.engine if isinstance(stack, OnEngine) else LUA


def charges_alone(stack: object) -> bool:
    """Whether nobody but the filter charges answers: Envoy Gateway's proxy cannot read what a module says."""
    return on_envoy_gateway(stack) and engine_of(stack) == WASM


def on_envoy_gateway(stack: object) -> bool:
    """Whether Envoy Gateway makes the configuration: a plain Envoy's is static."""
    return isinstance(stack, Reloading)
