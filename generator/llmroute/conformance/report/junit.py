"""The report for CI: JUnit's XML, a suite for each profile."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET  # written, never read
from typing import Final

from llmroute.conformance.report.document import Report
from llmroute.conformance.report.text import explained
from llmroute.conformance.runner import Outcome, Result

_FORBIDDEN: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML has no way to write."""


def to_junit(report: Report) -> str:
    """The XML, with a declaration."""
    top = ET.Element("testsuites", name=f"llmroute conformance: {report.gateway['name']}")
    _count(top, report.results)
    for profile in report.profiles:
        results = tuple(result for result in report.results if result.case.profile is profile)
        suite = ET.SubElement(top, "testsuite", name=str(profile))
        _count(suite, results)
        for result in results:
            _case(suite, result)
    ET.indent(top)
    return ET.tostring(top, encoding="unicode", xml_declaration=True) + "\n"


def _count(element: ET.Element, results: tuple[Result, ...]) -> None:
    outcomes = [result.outcome for result in results]
    element.set("tests", str(len(outcomes)))
    element.set("failures", str(outcomes.count(Outcome.FAILED)))
    element.set("skipped", str(outcomes.count(Outcome.SKIPPED)))
    element.set("time", f"{sum(result.seconds for result in results):.2f}")


def _case(suite: ET.Element, result: Result) -> None:
    case = ET.SubElement(suite, "testcase", classname=f"conformance.{result.case.profile}", name=result.case.id)
    case.set("time", f"{result.seconds:.2f}")
    if result.outcome is Outcome.SKIPPED:
        ET.SubElement(case, "skipped", message=result.reason)
    elif result.outcome is Outcome.FAILED:
        first, *rest = explained(result)
        failure = ET.SubElement(case, "failure", message=_written(first))
        failure.text = _written("\n".join(rest))


def _written(text: str) -> str:
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)
