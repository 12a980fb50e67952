"""The stacks: ways to have a real gateway, behind one protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from e2e.stacks.local import LocalStack, ProcessStack
from e2e.stacks.protocol import Stack, Unavailable
from llmroute.targets import WASM

__all__ = ["STACKS", "Stack", "Unavailable"]


def _wasm() -> Stack:
    return LocalStack(engine=WASM)


def _standalone() -> Stack:
    from e2e.stacks.standalone import StandaloneStack  # needs more than the others

    return StandaloneStack()


def _standalone_wasm() -> Stack:
    from e2e.stacks.standalone import StandaloneStack

    return StandaloneStack(engine=WASM)


def _docker() -> Stack:
    try:
        from e2e.stacks.docker import DockerStack
    except ModuleNotFoundError as missing:
        raise Unavailable(f"the Python package {missing.name}: pip install -e '.[dev]'") from missing

    return DockerStack()


def _kind() -> Stack:
    from e2e.stacks.kind import KindStack  # needs more than the others

    return KindStack()


STACKS: Final[Mapping[str, Callable[[], Stack]]] = {
    "local": LocalStack,
    "wasm": _wasm,
    "process": ProcessStack,
    "standalone": _standalone,
    "standalone-wasm": _standalone_wasm,
    "docker": _docker,
    "kind": _kind,
}
"""Constructors by the name that ``--stack`` takes; each raises ``Unavailable`` where it cannot run."""
