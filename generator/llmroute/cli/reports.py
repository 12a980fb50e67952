"""Findings for machines: JSON, SARIF 2.1.0, and annotations of GitHub's workflows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from llmroute import __version__
from llmroute.check.allowed import Allowed
from llmroute.diagnostic import Code, Diagnostic, Severity, field_name

_SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_COMMANDS: Final = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}


def as_json(diagnostics: Iterable[Diagnostic]) -> str:
    """An array with a record for each finding. ``line`` and ``column`` count from 1; 0 is the whole file."""
    return json.dumps([_record(d) for d in diagnostics], indent=2)


def _record(diagnostic: Diagnostic) -> dict[str, Any]:
    return {
        "code": diagnostic.code.id,
        "title": diagnostic.code.title,
        "severity": diagnostic.severity.value,
        "file": diagnostic.origin.file,
        "line": diagnostic.origin.line,
        "column": diagnostic.origin.column,
        "path": field_name(diagnostic.origin.path),
        "message": diagnostic.message,
        "hint": diagnostic.hint,
        "link": diagnostic.code.link,
    }


def as_sarif(diagnostics: Sequence[Diagnostic], allowed: Sequence[Allowed]) -> str:
    """One run of SARIF 2.1.0. Findings that a comment allows are in it, as suppressed with its reason."""
    codes = list(dict.fromkeys(d.code for d in (*diagnostics, *(each.diagnostic for each in allowed))))
    driver = {"name": "llmroute", "semanticVersion": __version__, "rules": [_rule(code) for code in codes]}
    results = [_result(d, codes) for d in diagnostics]
    results += [_result(a.diagnostic, codes) | {"suppressions": [_suppression(a)]} for a in allowed]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2)


def _rule(code: Code) -> dict[str, Any]:
    return {"id": code.id, "shortDescription": {"text": code.title}, "help": {"text": f"See {code.link}"}}


def _suppression(allowed: Allowed) -> dict[str, Any]:
    return {"kind": "inSource", "justification": allowed.reason}


def _result(diagnostic: Diagnostic, codes: Sequence[Code]) -> dict[str, Any]:
    origin = diagnostic.origin
    place: dict[str, Any] = {"artifactLocation": {"uri": _uri(origin.file)}}
    if origin.line:
        place["region"] = {"startLine": origin.line, "startColumn": origin.column}
    return {
        "ruleId": diagnostic.code.id,
        "ruleIndex": codes.index(diagnostic.code),
        "level": diagnostic.severity.value,  # SARIF has the same three words
        "message": {"text": _with_hint(diagnostic)},
        "locations": [{"physicalLocation": place}],
    }


def _uri(file: str) -> str:
    """A reference that is relative where the path is: code scanning looks for it in the repository."""
    path = Path(file)
    return path.as_uri() if path.is_absolute() else quote(file.strip("<>"))


def as_annotations(diagnostics: Iterable[Diagnostic]) -> str:
    """A workflow command of GitHub's for each finding, a line each."""
    return "\n".join(_annotation(d) for d in diagnostics)


def _annotation(diagnostic: Diagnostic) -> str:
    origin = diagnostic.origin
    properties = {"file": origin.file, "title": f"{diagnostic.code.id} {diagnostic.code.title}"}
    if origin.line:
        properties |= {"line": str(origin.line), "col": str(origin.column)}
    said = ",".join(f"{name}={_escaped(value, ':', ',')}" for name, value in properties.items())
    return f"::{_COMMANDS[diagnostic.severity]} {said}::{_escaped(_with_hint(diagnostic))}"


def _with_hint(diagnostic: Diagnostic) -> str:
    return diagnostic.message + (f" (hint: {diagnostic.hint})" if diagnostic.hint else "")


def _escaped(text: str, *more: str) -> str:
    for character in ("%", "\r", "\n", *more):
        text = text.replace(character, f"%{ord(character):02X}")
    return text
