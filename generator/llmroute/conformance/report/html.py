"""The report as a page that stands alone: the matrix, and each failed case with what was expected and what came.

The page is a tree of elements that a serializer writes, so nothing that a gateway answers can become part of it.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET  # written, never read
from collections.abc import Iterable
from typing import Any, Final

from llmroute.conformance.player import Played
from llmroute.conformance.report.document import Report
from llmroute.conformance.runner import Outcome, Result

_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 70em; padding: 0 1em; color: #222 }
table { border-collapse: collapse; margin: 1em 0 }
th, td { border: 1px solid #ccc; padding: .3em .7em; text-align: left; vertical-align: top }
th { background: #f3f3f3 }
td.n { text-align: right }
code { font: 13px ui-monospace, monospace; overflow-wrap: anywhere }
.passed { background: #e3f4e3 }
.failed { background: #fbdcdc }
.skipped { background: #f0f0f0; color: #666 }
.matrix { display: flex; flex-wrap: wrap; gap: 3px }
.matrix a, .matrix span { padding: .1em .5em; border-radius: 3px; font-size: 12px; color: inherit }
"""
_CONTROL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")


def to_html(report: Report) -> str:
    """The whole page."""
    name = report.gateway["name"]
    page = _e("html", lang="en")
    head = _add(page, "head")
    ET.SubElement(head, "meta", charset="utf-8")
    _add(head, "title", f"Conformance of {name}")
    _add(head, "style", _STYLE)
    body = _add(page, "body")
    _add(body, "h1", f"Conformance of {name}")
    _summary(body, report)
    _totals(body, report)
    _matrix(body, report)
    _failed(body, report.of(Outcome.FAILED))
    _skipped(body, report.of(Outcome.SKIPPED))
    return "<!DOCTYPE html>\n" + ET.tostring(page, encoding="unicode", method="html") + "\n"


def _summary(body: ET.Element, report: Report) -> None:
    rows = [
        ("gateway", report.gateway["version"]),
        ("admits while", report.gateway["admission"]),
        ("suite", report.environment["suite"]),
        ("ran on", f"Python {report.environment['python']}, {report.environment['system']}"),
        ("begun", f"{report.begun:%Y-%m-%d %H:%M:%S %Z}, for {report.seconds:.1f} s"),
    ]
    if not report.complete:
        rows.append(("incomplete", "the run was interrupted; what had ended is here"))
    table = _add(body, "table")
    for what, value in rows:
        row = _add(table, "tr")
        _add(row, "th", what)
        _add(row, "td", value)


def _totals(body: ET.Element, report: Report) -> None:
    table = _add(body, "table")
    _row(table, "th", ["profile", *Outcome])
    for profile, counts in report.profiles.items():
        _row(table, "td", [profile, *(counts[outcome] for outcome in Outcome)])


def _matrix(body: ET.Element, report: Report) -> None:
    for profile in report.profiles:
        _add(body, "h2", str(profile))
        cells = _add(body, "div", class_="matrix")
        for result in report.results:
            if result.case.profile is not profile:
                continue
            told = {"class_": str(result.outcome), "title": f"{result.case.title}: {result.outcome}"}
            if result.outcome is Outcome.FAILED:
                _add(cells, "a", result.case.id, href=f"#{result.case.id}", **told)
            else:
                _add(cells, "span", result.case.id, **told)


def _failed(body: ET.Element, results: Iterable[Result]) -> None:
    for result in results:
        _add(body, "h2", f"Failed: {result.case.id}", id=result.case.id)
        sources = f" It comes from {', '.join(result.case.sources)}." if result.case.sources else ""
        _add(body, "p", f"{result.case.title}. It proves: {result.case.proves}{sources}")
        if result.reason:
            _add(body, "p", result.reason)
        if result.played:
            table = _add(body, "table")
            _row(table, "th", ["step", "looked at", "expected", "observed"])
            for number, played in enumerate(result.played, start=1):
                _step(table, number, played)


def _step(table: ET.Element, number: int, played: Played) -> None:
    for n, check in enumerate(played.checks):
        row = _add(table, "tr", class_=str(Outcome.PASSED if check.ok else Outcome.FAILED))
        _add(row, "td", f"{number}. {played.step}" if n == 0 else "")
        _add(row, "td", check.what)
        for value in (check.expected, check.observed):
            _add(_add(row, "td"), "code", str(value))


def _skipped(body: ET.Element, results: tuple[Result, ...]) -> None:
    if not results:
        return
    _add(body, "h2", "Skipped")
    table = _add(body, "table")
    _row(table, "th", ["case", "title", "why"])
    for result in results:
        _row(table, "td", [result.case.id, result.case.title, result.reason])


def _row(table: ET.Element, tag: str, values: Iterable[Any]) -> None:
    row = _add(table, "tr")
    for value in values:
        _add(row, tag, str(value), **({"class_": "n"} if isinstance(value, int) else {}))


def _e(tag: str, text: str | None = None, **attributes: str) -> ET.Element:
    element = ET.Element(tag, {name.rstrip("_"): _written(value) for name, value in attributes.items()})
    element.text = None if text is None else _written(text)
    return element


def _add(parent: ET.Element, tag: str, text: str | None = None, **attributes: str) -> ET.Element:
    element = _e(tag, text, **attributes)
    parent.append(element)
    return element


def _written(text: str) -> str:
    """Without control characters, which a page cannot hold."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)
