"""Reports of two runs are compared but for their times, and what differs is named."""

from __future__ import annotations

import copy
import datetime as dt
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from llmroute.conformance.cases import chosen
from llmroute.conformance.report.document import made, to_document
from llmroute.conformance.runner import run
from tests.unit.conformance.fake import FakeAdapter
from tools.equal_runs import records
from tools.same_records import differences

BEGUN = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    """Of a run of one case at a gateway that is none."""
    cases, adapter = chosen(ids=["exact-quantity"]), FakeAdapter()
    with adapter:
        return to_document(made(list(run(cases, adapter)), cases, adapter, BEGUN, 1.5))


def later(report: dict[str, Any]) -> None:
    """What differs from run to run."""
    report |= {"begun": "2027-01-01T00:00:00Z", "seconds": 99.9}
    report["cases"][0]["seconds"] = 5.0


def other_version(report: dict[str, Any]) -> None:
    """Beside the cases."""
    report["gateway"]["version"] = "another"


def other_counter(report: dict[str, Any]) -> None:
    """In what was observed."""
    report["cases"][0]["steps"][0]["observed"] = {"status": 418}


def fewer_steps(report: dict[str, Any]) -> None:
    """Of a case."""
    report["cases"][0]["steps"].pop()


def no_case(report: dict[str, Any]) -> None:
    """It is in one of the reports alone."""
    report["cases"].clear()


def test_times_do_not_matter(report: dict[str, Any]) -> None:
    """Everything else is the same."""
    again = copy.deepcopy(report)
    later(again)
    assert list(differences(records(report), records(again))) == []


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (other_version, "the report: observation 0: gateway: "),
        (other_counter, "exact-quantity: observation 1: observed: "),
        (fewer_steps, "exact-quantity: observation "),
        (no_case, "exact-quantity: observation 0: "),
    ],
)
def test_what_differs_is_named(report: dict[str, Any], change: Callable[[dict[str, Any]], None], named: str) -> None:
    """By the case, and where in it."""
    again = copy.deepcopy(report)
    change(again)
    (line,) = differences(records(report), records(again))
    assert line.startswith(named)


def test_one_run_is_no_comparison() -> None:
    """It is refused in a line."""
    done = subprocess.run([sys.executable, "-m", "tools.equal_runs", "1"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "argument RUNS: invalid choice: 1" in done.stderr
    assert "Traceback" not in done.stderr
