"""Finds the programs that are started: bundled in an installed package, or on PATH."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
from fnmatch import fnmatch
from pathlib import Path

from llmroute.local.errors import MissingTool


def bundled(distribution: str, pattern: str) -> Path | None:
    """Find a program among the files of an installed distribution; None where it is not.

    ``pattern`` is a glob over the paths that the distribution's RECORD lists.
    """
    try:
        files = importlib.metadata.files(distribution) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    paths = (Path(str(file.locate())) for file in files if fnmatch(file.as_posix(), pattern))
    return next((path for path in paths if _is_program(path)), None)


def on_path(*names: str) -> Path | None:
    """Find the first of these programs that is on PATH."""
    found = (shutil.which(name) for name in names)
    return next((Path(path).absolute() for path in found if path), None)


def named(program: str | Path) -> Path:
    """Find a program that the caller named, by its path or by a name on PATH.

    Raises:
        MissingTool: when it is not there, or not to be executed.
    """
    found = on_path(str(program))
    if found is None:
        raise MissingTool(f"{program} is not a program that can be run")
    return found


def _is_program(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)
