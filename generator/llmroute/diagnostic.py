"""What the compiler has to say about a policy: one record per finding, with its place and remedy."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

DOCUMENT: Final = "docs/diagnostics.md"
"""A section for each code: why, before and after."""

FieldPath = tuple[str | int, ...]
"""The way from a document's root to a value: mapping keys and sequence indexes."""


class Severity(enum.StrEnum):
    """How bad a finding is: an error stops the output, a warning does not, a note is what to know."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an element of the policy was written.

    ``line`` and ``column`` count from 1, in characters; 0 means that the whole file is meant.
    """

    file: str
    line: int = 0
    column: int = 0
    path: FieldPath = ()

    def __str__(self) -> str:
        """``file:line:column``, or the file alone where no line is known."""
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Code:
    """An entry of the catalogue in ``codes``: an id that never changes its meaning, and a title."""

    id: str
    title: str

    @property
    def link(self) -> str:
        """Where the documentation speaks of it: file, and section as its renderers call it."""
        section = re.sub(r"[^\w\- ]", "", f"{self.id} {self.title}".lower()).replace(" ", "-")
        return f"{DOCUMENT}#{section}"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding. ``hint`` says what to do, where that is known."""

    code: Code
    origin: Origin
    message: str
    hint: str = ""
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        """One line: ``file:line:column: error LR003: message (hint: …)``."""
        hint = f" (hint: {self.hint})" if self.hint else ""
        return f"{self.origin}: {self.severity} {self.code.id}: {self.message}{hint}"


def has_errors(diagnostics: Iterable[Diagnostic]) -> bool:
    """Whether any finding forbids output."""
    return any(d.severity is Severity.ERROR for d in diagnostics)


def field_name(path: FieldPath) -> str:
    """A path as users write it: ``spec.backends[0].backendRef``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else (f".{part}" if text else part)
    return text
