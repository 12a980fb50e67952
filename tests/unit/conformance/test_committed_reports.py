"""The reports in ``e2e/reports``: whole, of the suite's shape, and of our own stacks without a failure."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from llmroute.conformance.adapters.find import LOCAL, REPOSITORY
from llmroute.conformance.case import Profile
from llmroute.conformance.report.document import API_VERSION, KIND

FOLDER: Final = Path(__file__).parents[3] / "e2e" / "reports"
REPORTS: Final = sorted(FOLDER.glob("*.yaml"))


@pytest.mark.parametrize("file", REPORTS, ids=lambda file: file.stem)
def test_report(file: Path) -> None:
    """All profiles, all cases that had a result; the counts are those of the cases; the command is in the README."""
    report: dict[str, Any] = yaml.load(file.read_text(encoding="utf-8"), yaml.CSafeLoader)
    assert (report["apiVersion"], report["kind"], report["complete"]) == (API_VERSION, KIND, True)
    assert report["gateway"]["name"] == file.stem
    assert set(report["profiles"]) == set(Profile)
    for profile, counts in report["profiles"].items():
        outcomes = [case["outcome"] for case in report["cases"] if case["profile"] == profile]
        assert counts == {outcome: outcomes.count(outcome) for outcome in counts}
    if file.stem in (LOCAL, *REPOSITORY):
        assert [case["id"] for case in report["cases"] if case["outcome"] == "failed"] == []
    command = f"--stack {file.stem} --report e2e/reports/{file.name}`"
    assert command in (FOLDER / "README.md").read_text(encoding="utf-8")


def test_there_are_some() -> None:
    """Of the embedded service, the real one, and Envoy Gateway."""
    assert {"local", "process", "standalone"} <= {file.stem for file in REPORTS}
