"""The pinned LiteLLM in an environment of its own: its pins and ours would not go together."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from e2e.stacks.protocol import Unavailable
from tools.pins import cache_root, pins, take_place

_WITHIN: Final = 600.0
"""Seconds for the installation."""


def environment() -> Path:
    """The folder of the environment, made on first use: a minute and 750 MB, kept by version.

    Raises:
        Unavailable: it cannot be installed; says why.
    """
    version = pins()["LITELLM"]
    folder = cache_root() / "litellm" / version
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".new-", dir=folder.parent) as scratch:
            fresh = Path(scratch) / "environment"
            _run([sys.executable, "-m", "venv", str(fresh)])
            # Without ``prisma``, of the extra ``extra-proxy``, LiteLLM answers what it should refuse with a 401 with a 500.
            wanted = [f"litellm[proxy]=={version}", f"prisma=={pins()['PRISMA']}"]
            _run(
                [
                    str(fresh / "bin" / "python"),
                    *["-m", "pip", "install", "--quiet", "--disable-pip-version-check"],
                    *wanted,
                ]
            )
            take_place(fresh, folder)
    return folder


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_WITHIN)
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"LiteLLM cannot be installed: {Path(command[0]).name} takes over {_WITHIN:g} s") from error
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()[-1]
        raise Unavailable(f"LiteLLM cannot be installed from the package index; {' '.join(command[1:4])} says: {said}")
