"""Reports: the same in every run but for times, and nothing that a gateway answers becomes part of a page."""

from __future__ import annotations

import datetime as dt
import html.parser
import xml.etree.ElementTree as ET
from typing import Any

import pytest
import yaml

from llmroute.conformance.case import Case, Profile
from llmroute.conformance.cases import chosen
from llmroute.conformance.checks import Check
from llmroute.conformance.player import Played
from llmroute.conformance.policies import per_user
from llmroute.conformance.report import FORMATS, Report
from llmroute.conformance.report.document import API_VERSION, made, to_document, to_yaml, without_times
from llmroute.conformance.rows import ok
from llmroute.conformance.runner import Outcome, Result, run
from tests.unit.conformance.fake import FakeAdapter

BEGUN = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
EVIL = '<script>alert("x")</script>&\x00'


def case(name: str, profile: Profile = Profile.CORE) -> Case:
    """A case that is only looked at."""
    return Case(
        name, f"the title of {name}", profile, per_user(10), (ok(10),), "It proves a thing.", sources=("KU-02",)
    )


CASES = (case("good"), case("bad"), case("other", Profile.FAULTS), case("never"))
RESULTS = (
    Result(CASES[2], Outcome.SKIPPED, "missing: outage"),
    Result(
        CASES[1],
        Outcome.FAILED,
        "",
        (
            Played("POST / as {user}", (Check("status", 200, 200),)),
            Played("GET /", (Check("status", 429, 200), Check("the body", "x", EVIL))),
        ),
        0.25,
        "a log",
    ),
    Result(CASES[0], Outcome.PASSED, "", (Played("POST / as {user}", (Check("status", 200, 200),)),), 1.5),
)


@pytest.fixture
def report() -> Report:
    """One of each outcome, and a case that the run never came to."""
    return made(RESULTS, CASES, FakeAdapter(), BEGUN, 2.25)


def test_the_document(report: Report) -> None:
    """All of it: what it is of, counts, and each case with what was seen; what differs also with what was expected."""
    assert yaml.safe_load(to_yaml(report)) == to_document(report)
    document = to_document(report)
    assert document.pop("environment").keys() == {"suite", "python", "system"}
    cases = document.pop("cases")
    assert document == {
        "apiVersion": API_VERSION,
        "kind": "Report",
        "gateway": {"name": "fake", "version": "1", "admission": "used < limit", "features": ["counters", "reset"]},
        "begun": "2026-01-02T03:04:05Z",
        "seconds": 2.2,
        "complete": False,
        "profiles": {
            "core": {"passed": 1, "failed": 1, "skipped": 0},
            "faults": {"passed": 0, "failed": 0, "skipped": 1},
        },
    }
    good, bad, other = cases
    assert good == {
        "id": "good",
        "title": "the title of good",
        "profile": "core",
        "outcome": "passed",
        "sources": ["KU-02"],
        "seconds": 1.5,
        "steps": [{"step": "POST / as {user}", "observed": {"status": 200}}],
    }
    assert bad["proves"] == "It proves a thing."
    assert bad["steps"][1] == {
        "step": "GET /",
        "observed": {"status": 200, "the body": EVIL},
        "expected": {"status": 429, "the body": "x"},
    }
    assert (other["outcome"], other["reason"]) == ("skipped", "missing: outage")
    assert "steps" not in other


@pytest.mark.slow
def test_two_runs_give_equal_reports_but_for_times() -> None:
    """Users, ports and marks are new in each; nothing of them is in a report."""
    cases = chosen([Profile.CORE])
    documents: list[dict[str, Any]] = []
    for second in (1, 2):
        with FakeAdapter(defects={"charge": 1}) as adapter:
            results = list(run(cases, adapter, within=0.2))
            begun = BEGUN.replace(second=second)
            documents.append(to_document(made(results, cases, adapter, begun, float(second))))
    assert documents[0] != documents[1]
    assert {case["outcome"] for case in documents[0]["cases"]} == {"passed", "failed", "skipped"}
    assert without_times(documents[0]) == without_times(documents[1])


class Page(html.parser.HTMLParser):
    """The tags and texts of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect it."""
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Collect it."""
        self.texts.append(data)


def test_the_page(report: Report) -> None:
    """It stands alone; what was answered is text in it; a failed case leads to its explanation."""
    text = FORMATS["html"](report)
    assert text.startswith("<!DOCTYPE html>\n<html")
    page = Page(text)
    assert not {"script", "link", "img", "iframe"} & {tag for tag, _ in page.tags}
    assert [attributes["href"] for tag, attributes in page.tags if tag == "a"] == ["#bad"]
    assert ("h2", {"id": "bad"}) in page.tags
    assert EVIL.replace("\x00", "\N{REPLACEMENT CHARACTER}") in page.texts
    said = " ".join(page.texts)
    for expected in ("It proves a thing.", "It comes from KU-02.", "missing: outage", "429", "interrupted"):
        assert expected in said
    assert {attributes.get("class") for _, attributes in page.tags} >= {"passed", "failed", "skipped", "matrix"}


def test_junit(report: Report) -> None:
    """Counts, and a failure that says what differs."""
    top = ET.fromstring(FORMATS["junit"](report))  # noqa: S314 our own
    assert {k: top.get(k) for k in ("tests", "failures", "skipped")} == {"tests": "3", "failures": "1", "skipped": "1"}
    assert [suite.get("name") for suite in top] == ["core", "faults"]
    (failure,) = top.iter("failure")
    assert failure.get("message") == "FAILED core/bad: the title of bad"
    assert "status: expected 429, observed 200" in (failure.text or "")
    (skipped,) = top.iter("skipped")
    assert skipped.get("message") == "missing: outage"


def test_text(report: Report) -> None:
    """What a person at a terminal has to know."""
    text = FORMATS["text"](report)
    assert "core    1 passed, 1 failed, 0 skipped\n" in text
    assert "skipped, missing: outage: other\n" in text
    assert "  step 2: GET /\n    status: expected 429, observed 200\n" in text
    assert text.endswith("1 passed, 1 failed, 1 skipped in 2.2 s (interrupted)\n")
