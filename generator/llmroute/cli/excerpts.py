"""Findings for people: each with the line that it is about, and a caret under the place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import click
from rich.cells import cell_len

from llmroute.diagnostic import Diagnostic, Origin, Severity

_COLOURS: Final = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: "cyan"}
_SHOWN: Final = 100
"""Characters of a line; of a longer one those around the place."""


def show_excerpts(diagnostics: Iterable[Diagnostic], texts: Mapping[str, str]) -> None:
    """Print findings; ``texts`` are the files that they are about, by name. In colour on a terminal."""
    for diagnostic in diagnostics:
        severity = click.style(f"{diagnostic.severity} {diagnostic.code.id}", _COLOURS[diagnostic.severity], bold=True)
        click.echo(f"{diagnostic.origin}: {severity}: {diagnostic.message}")
        for line in _excerpt(diagnostic.origin, texts.get(diagnostic.origin.file, "")):
            click.echo(line)
        if diagnostic.hint:
            click.echo(f"  hint: {diagnostic.hint}")
        click.echo(f"  see {diagnostic.code.link}")


def _excerpt(origin: Origin, text: str) -> list[str]:
    """The line and the caret; nothing where there is no such line."""
    lines = text.removeprefix("\ufeff").splitlines()
    if not 0 < origin.line <= len(lines):
        return []
    line, place = lines[origin.line - 1], origin.column - 1
    begin = max(0, place - _SHOWN // 2) if len(line) > _SHOWN else 0
    shown, before = line[begin : begin + _SHOWN], line[begin:place]
    # A tab stays one, so that it is as wide below as above; a wide character is two blanks.
    blank = "".join(c if c == "\t" else " " * cell_len(c) for c in before)
    number = str(origin.line)
    return [f"  {number} | {shown}", f"  {' ' * len(number)} | {blank}^"]
