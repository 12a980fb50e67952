"""The command line as users have it: the built wheel in an environment of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
Run = Callable[..., subprocess.CompletedProcess[str]]


def beside_warnings(said: str) -> str:
    """What stands on standard error but for warnings: the original document gets one for its limits by model."""
    return "".join(line for line in said.splitlines(keepends=True) if ": warning LR" not in line)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this checkout by the build backend that is installed."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``llmroute`` of the wheel, not of the checkout; its dependencies are those of the test environment."""
    folder = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(folder)]
    subprocess.run([*command, str(wheel)], check=True, capture_output=True, text=True)
    return folder


@pytest.fixture
def environment(installed: Path) -> dict[str, str]:
    """An environment in which ``llmroute`` is the wheel's: its folder stands before the checkout's."""
    return {**os.environ, "PYTHONPATH": str(installed), "COLUMNS": "120"}


@pytest.fixture
def program(installed: Path) -> list[str]:
    """The console script."""
    return [sys.executable, str(installed / "bin" / "llmroute")]


@pytest.fixture
def llmroute(program: list[str], environment: dict[str, str], tmp_path: Path) -> Run:
    """``llmroute("check", "-", stdin=…)`` in an empty directory."""

    def run(*arguments: str, stdin: str = "", cwd: Path = tmp_path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*program, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            env=environment,
            cwd=cwd,
            timeout=60,
            check=False,
        )

    return run
