"""Findings as JSON, SARIF, GitHub's annotations and text, from one record each."""

from __future__ import annotations

import json
from typing import Any, Final

import jsonschema
import pytest

from llmroute.check.allowed import Allowed
from llmroute.cli.excerpts import show_excerpts
from llmroute.cli.reports import as_annotations, as_json, as_sarif
from llmroute.diagnostic import Code, Diagnostic, Origin, Severity

ODD = Code("LR999", "a title, with: signs")
ERROR = Diagnostic(ODD, Origin("a b/ü.yaml", 3, 7, ("spec", "backends", 0)), "100% wrong\nor so", "mend it")
NOTE = Diagnostic(Code("LR998", "a note"), Origin("/etc/policy.yaml"), "the whole file", "", Severity.NOTE)
ALLOWED = Allowed(Diagnostic(ODD, Origin("<stdin>", 1, 1), "as it is", "", Severity.WARNING), "it is so")


def only(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    """An object of these properties and no other, as SARIF's schema has every one."""
    properties = required | optional
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


def several(items: dict[str, Any]) -> dict[str, Any]:
    """An array."""
    return {"type": "array", "items": items}


TEXT: Final = {"type": "string"}
NUMBER: Final = {"type": "integer", "minimum": 1}
MESSAGE: Final = only({"text": TEXT})
PLACE: Final = only(
    {"artifactLocation": only({"uri": {"type": "string", "format": "uri-reference"}})},
    region=only({"startLine": NUMBER, "startColumn": NUMBER}),
)
RESULT: Final = only(
    {
        "ruleId": TEXT,
        "ruleIndex": {"type": "integer", "minimum": 0},
        "level": {"enum": ["none", "note", "warning", "error"]},
        "message": MESSAGE,
        "locations": several(only({"physicalLocation": PLACE})),
    },
    suppressions=several(only({"kind": {"enum": ["inSource", "external"]}, "justification": TEXT})),
)
RULE: Final = only({"id": TEXT, "shortDescription": MESSAGE, "help": MESSAGE})
DRIVER: Final = only({"name": TEXT, "semanticVersion": TEXT, "rules": several(RULE)})
RUN: Final = only(
    {"tool": only({"driver": DRIVER}), "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]}, "results": several(RESULT)}
)  # fmt: skip
SARIF: Final = only(
    {"$schema": {"type": "string", "format": "uri"}, "version": {"enum": ["2.1.0"]}, "runs": several(RUN)}
)
"""What SARIF 2.1.0's schema says of everything that we write of it; it is not ours to commit. All is in it whole."""


def sarif(*findings: Diagnostic, allowed: tuple[Allowed, ...] = ()) -> dict[str, Any]:
    """The log, held against the schema."""
    log: dict[str, Any] = json.loads(as_sarif(findings, allowed))
    validator = jsonschema.Draft202012Validator
    validator(SARIF, format_checker=validator.FORMAT_CHECKER).validate(log)
    return log


def test_sarif() -> None:
    """Each result names its rule by id and place, its place in the file, and its level."""
    (run,) = sarif(ERROR, NOTE, ERROR)["runs"]
    rules, results = run["tool"]["driver"]["rules"], run["results"]
    assert [rule["id"] for rule in rules] == ["LR999", "LR998"]
    assert [(r["ruleId"], r["level"]) for r in results] == [("LR999", "error"), ("LR998", "note"), ("LR999", "error")]
    assert [rules[r["ruleIndex"]]["id"] for r in results] == [r["ruleId"] for r in results]
    places = [r["locations"][0]["physicalLocation"] for r in results[:2]]
    assert places[0] == {"artifactLocation": {"uri": "a%20b/%C3%BC.yaml"}, "region": {"startLine": 3, "startColumn": 7}}
    assert places[1] == {"artifactLocation": {"uri": "file:///etc/policy.yaml"}}, "no line: the whole file"
    assert results[0]["message"]["text"] == "100% wrong\nor so (hint: mend it)"


def test_sarif_of_what_is_allowed() -> None:
    """Code scanning shows it as dismissed, with the reason."""
    (run,) = sarif(allowed=(ALLOWED,))["runs"]
    (result,) = run["results"]
    assert result["suppressions"] == [{"kind": "inSource", "justification": "it is so"}]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "stdin"


def test_sarif_of_nothing() -> None:
    """A run without results says that all is well."""
    assert sarif()["runs"][0]["results"] == []


def test_json() -> None:
    """Every field of the record."""
    assert json.loads(as_json([ERROR])) == [
        {
            "code": "LR999",
            "title": "a title, with: signs",
            "severity": "error",
            "file": "a b/ü.yaml",
            "line": 3,
            "column": 7,
            "path": "spec.backends[0]",
            "message": "100% wrong\nor so",
            "hint": "mend it",
            "link": "docs/diagnostics.md#lr999-a-title-with-signs",
        }
    ]


def test_annotations() -> None:
    """A workflow command each; what would end a property or the line is escaped."""
    assert as_annotations([ERROR, NOTE]).splitlines() == [
        "::error file=a b/ü.yaml,title=LR999 a title%2C with%3A signs,line=3,col=7::100%25 wrong%0Aor so (hint: mend it)",
        "::notice file=/etc/policy.yaml,title=LR998 a note::the whole file",
    ]


@pytest.mark.parametrize(
    ("line", "column", "shown", "caret"),
    [
        ("  - a: 1", 5, "  - a: 1", 4),
        ("\t- a: 1", 4, "\t- a: 1", 3),
        ("名前: 1", 5, "名前: 1", 6),
        ("x" * 300 + "Y" + "x" * 300, 301, "x" * 50 + "Y" + "x" * 49, 50),
    ],
)
def test_a_caret_under_the_place(
    capsys: pytest.CaptureFixture[str], line: str, column: int, shown: str, caret: int
) -> None:
    """In cells of a terminal: a tab stays one, and a wide character is two. Of a long line a part is shown."""
    finding = Diagnostic(ODD, Origin("p", 2, column), "wrong", "mend it")
    show_excerpts([finding], {"p": f"\ufefffirst\n{line}\nlast"})
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"p:2:{column}: error LR999: wrong"
    assert said[1] == f"  2 | {shown}"
    assert said[2].removeprefix("    | ").index("^") == caret
    assert set(said[2].removeprefix("    | ")) <= {" ", "\t", "^"}
    assert said[3:] == ["  hint: mend it", "  see docs/diagnostics.md#lr999-a-title-with-signs"]


@pytest.mark.parametrize("origin", [Origin("p"), Origin("p", 9, 1), Origin("other", 1, 1)])
def test_no_such_line(capsys: pytest.CaptureFixture[str], origin: Origin) -> None:
    """The message, and no line."""
    show_excerpts([Diagnostic(ODD, origin, "wrong")], {"p": "first\n"})
    assert capsys.readouterr().out.splitlines() == [
        f"{origin}: error LR999: wrong",
        "  see docs/diagnostics.md#lr999-a-title-with-signs",
    ]
