"""The stacks: ways to have a real gateway, behind one protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from e2e.stacks.local import LocalStack, ProcessStack
from e2e.stacks.protocol import Stack, Unavailable

__all__ = ["STACKS", "Stack", "Unavailable"]


def _standalone() -> Stack:
    from e2e.stacks.standalone import StandaloneStack  # needs more than the others

    return StandaloneStack()


STACKS: Final[Mapping[str, Callable[[], Stack]]] = {
    "local": LocalStack,
    "process": ProcessStack,
    "standalone": _standalone,
}
"""Constructors by the name that ``--stack`` takes; each raises ``Unavailable`` where it cannot run."""
