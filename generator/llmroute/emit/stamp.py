"""The line on top of what is made: which LLMRoute it comes from, and where that is written."""

from __future__ import annotations

from pathlib import PurePath
from typing import Final

from llmroute import names
from llmroute.plan import Route

MADE: Final = "Made by llmroute"
"""How every stamp begins."""


def stamp(*routes: Route) -> str:
    """One line for each route. Without line numbers, the version or a folder: none of them changes what is made."""
    return "\n".join(_line(route) for route in routes)


def _line(route: Route) -> str:
    name = f"{route.namespace}/{route.name}" if route.namespace else route.name
    return f"{MADE} from the {names.KIND} {name}{_file(route.origin.file)}, hash {route.digest}. Edit that, not this."


def _file(name: str) -> str:
    """Nothing for standard input, which has a name like ``<stdin>``."""
    if name.startswith("<"):
        return ""
    return " in " + "".join(c if c.isprintable() else "?" for c in PurePath(name).name)
