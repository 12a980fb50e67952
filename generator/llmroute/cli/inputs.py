"""Reading policies and saying what is wrong with them, the same way in every command."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import click

from llmroute.cli.exits import Usage
from llmroute.diagnostic import Diagnostic
from llmroute.overshoot import summary
from llmroute.plan import Plan

STDIN = "-"


def read_all(files: Iterable[str]) -> list[tuple[str, str]]:
    """``(name, text)`` of each file; ``-`` is standard input. Raises ``Usage`` for one that cannot be read."""
    return [(_name(file), _text(file)) for file in files]


def _name(file: str) -> str:
    return "<stdin>" if file == STDIN else file


def _text(file: str) -> str:
    try:
        data = sys.stdin.buffer.read() if file == STDIN else Path(file).read_bytes()
    except OSError as error:
        raise Usage(f"cannot read {file}: {error.strerror}") from error
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Usage(f"cannot read {_name(file)}: it is not UTF-8 (byte {error.start})") from error


def show(diagnostics: Iterable[Diagnostic], *, err: bool) -> None:
    """Print findings, one line each."""
    for diagnostic in diagnostics:
        click.echo(str(diagnostic), err=err)


def say_bounds(plan: Plan, *, err: bool) -> None:
    """Print how far past its token limits each route can go, one line each."""
    for route in plan.routes:
        bound = summary(route)
        if bound:
            click.echo(f"{route.origin}: note: {bound}", err=err)
