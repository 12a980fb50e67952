"""The stacks as adapters of the conformance suite: what ``llmroute conformance --stack NAME`` finds in a checkout."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from e2e.stacks import STACKS, Stack
from e2e.stacks.local import EnvoyStack
from e2e.stacks.protocol import charges_alone
from llmroute.conformance.adapters.protocol import Adapter
from llmroute.conformance.adapters.stack import StackAdapter
from llmroute.conformance.features import Feature
from tools.pins import pins

_PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    "local": ("ENVOY",),
    "wasm": ("ENVOY",),
    "process": ("ENVOY", "RATELIMIT"),
    "standalone": ("ENVOY_GATEWAY", "ENVOY", "RATELIMIT"),
    "standalone-wasm": ("ENVOY_GATEWAY", "ENVOY", "RATELIMIT"),
    "docker": ("ENVOY", "RATELIMIT"),
    "kind": ("ENVOY_GATEWAY", "ENVOY", "RATELIMIT"),
}
"""The pins of each stack's parts."""


def adapter_of(name: str, stack: Stack) -> StackAdapter:
    """A stack of this name as an adapter."""
    upgrades = frozenset({Feature.UPGRADES}) if isinstance(stack, EnvoyStack) else frozenset()
    parts = ", ".join(f"{part.replace('_', ' ').title()} {pins()[part]}" for part in _PARTS[name])
    unmatched = frozenset({Feature.PATTERNS}) if charges_alone(stack) else frozenset()
    return StackAdapter(name, stack, parts, upgrades, unmatched)


def _made(name: str) -> Adapter:
    return adapter_of(name, STACKS[name]())


def _litellm() -> Adapter:
    from e2e.litellm.adapter import LiteLLM  # it installs what it needs

    return LiteLLM()


ADAPTERS: Final[Mapping[str, Callable[[], Adapter]]] = {
    **{name: partial(_made, name) for name in STACKS},
    "litellm": _litellm,
}
"""Constructors by name; each raises ``Unavailable`` where the stack cannot run."""
