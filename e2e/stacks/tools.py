"""Finds the programs that stacks need: what ``make tools`` linked into the checkout, or one on PATH."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from e2e.stacks.protocol import Unavailable
from llmroute.local.tools import on_path

_LINKS: Final = Path(__file__).resolve().parent.parent.parent / ".tools"
_OTHER_NAMES: Final = {"ratelimit": ("service_cmd",)}
"""What ``go install`` calls a program."""


def tool(name: str) -> Path:
    """The program ``name``.

    Raises:
        Unavailable: it is not there; the message says how to get it.
    """
    found = on_path(str(_LINKS / name), name, *_OTHER_NAMES.get(name, ()))
    if found is None:
        raise Unavailable(f"{name} is neither in .tools nor on PATH: make tools")
    return found
