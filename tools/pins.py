"""The pinned versions of ``pins.env``, and where what is fetched by them is kept."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_FILE: Final = Path(__file__).with_name("pins.env")


@functools.cache
def pins() -> Mapping[str, str]:
    """Every pin, by its name in the file without ``_VERSION``: ``pins()["KIND"]``."""
    lines = (line.strip() for line in _FILE.read_text("utf-8").splitlines())
    pairs = (line.split("=", 1) for line in lines if line and not line.startswith("#"))
    return {key.removesuffix("_VERSION"): value for key, value in pairs}


def cache_root() -> Path:
    """Where this project caches."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "llmroute"


def take_place(fresh: Path, target: Path) -> None:
    """Move a finished folder to its place in the cache; another process may have been there first."""
    try:
        fresh.rename(target)
    except OSError:
        if not target.is_dir():
            raise
