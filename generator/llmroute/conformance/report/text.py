"""The report for a terminal: a line for each profile, and each failed case with what differs."""

from __future__ import annotations

from collections.abc import Iterator

from llmroute.conformance.report.document import Report
from llmroute.conformance.runner import Outcome, Result


def to_text(report: Report) -> str:
    """What a person at a terminal wants to know."""
    lines = [
        f"{report.gateway['name']} ({report.gateway['version']}), which admits while {report.gateway['admission']}",
        "",
    ]
    width = max((len(profile) for profile in report.profiles), default=0)
    for profile, counts in report.profiles.items():
        lines.append(f"{profile:{width}}  " + ", ".join(f"{counts[outcome]} {outcome}" for outcome in Outcome))
    for reason, results in _skips(report).items():
        lines.append(f"skipped, {reason}: {', '.join(result.case.id for result in results)}")
    for result in report.of(Outcome.FAILED):
        lines += ["", *explained(result)]
    passed, failed, skipped = (len(report.of(outcome)) for outcome in Outcome)
    end = "" if report.complete else " (interrupted)"
    lines += ["", f"{passed} passed, {failed} failed, {skipped} skipped in {report.seconds:.1f} s{end}"]
    return "\n".join(lines) + "\n"


def explained(result: Result) -> Iterator[str]:
    """A failed case in words: what it is about, and what differs where."""
    case = result.case
    yield f"FAILED {case.profile}/{case.id}: {case.title}"
    yield f"  it proves: {case.proves}"
    if result.reason:
        yield f"  {result.reason}"
    for number, played in enumerate(result.played, start=1):
        if played.ok:
            continue
        yield f"  step {number}: {played.step}"
        for check in played.checks:
            if not check.ok:
                yield f"    {check.what}: expected {check.expected}, observed {check.observed}"


def _skips(report: Report) -> dict[str, list[Result]]:
    found: dict[str, list[Result]] = {}
    for result in report.of(Outcome.SKIPPED):
        found.setdefault(result.reason, []).append(result)
    return found
