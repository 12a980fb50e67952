"""The report: a value, and the YAML that it is kept as (``apiVersion`` says which shape).

::

    apiVersion: conformance.llmroute.dev/v1
    kind: Report
    gateway: {name, version, admission, features: [...]}
    environment: {suite, python, system}
    begun: 2026-01-02T03:04:05Z         # times: the only part that differs from run to run
    seconds: 12.3
    complete: true                      # false: it was interrupted
    profiles:
      core: {passed: 1, failed: 1, skipped: 1}
    cases:
    - id: …
      title: …
      profile: core
      outcome: failed                   # passed, failed, skipped
      proves: …                         # of a failed one
      sources: [KU-02]                  # where it comes from
      reason: …                         # why it was skipped, or could not begin
      seconds: 0.1
      steps:                            # those that were made, up to the first that failed
      - step: POST /v1/chat/completions as {user}, model gpt-4o-mini
        observed: {status: 200, …}
        expected: {status: 429}         # of what differs
"""

from __future__ import annotations

import copy
import datetime as dt
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from llmroute.conformance import environment
from llmroute.conformance.adapters.protocol import Adapter
from llmroute.conformance.case import Case, Profile
from llmroute.conformance.player import Played
from llmroute.conformance.runner import Outcome, Result
from llmroute.render.yaml import dump

API_VERSION: Final = "conformance.llmroute.dev/v1"
KIND: Final = "Report"
_TIMES: Final = ("begun", "seconds")


@dataclass(frozen=True, slots=True)
class Report:
    """Of one run. ``results`` are in the order of the suite. ``seconds`` is how long it took."""

    gateway: dict[str, Any]
    environment: dict[str, str]
    begun: dt.datetime
    seconds: float
    complete: bool
    results: tuple[Result, ...]

    def of(self, outcome: Outcome) -> tuple[Result, ...]:
        """The results with this outcome."""
        return tuple(result for result in self.results if result.outcome is outcome)

    @property
    def profiles(self) -> dict[Profile, Counter[Outcome]]:
        """How many of each outcome, by profile; those of which there is a case."""
        found: dict[Profile, Counter[Outcome]] = {}
        for result in self.results:
            found.setdefault(result.case.profile, Counter())[result.outcome] += 1
        return found


def made(
    results: Iterable[Result], cases: Sequence[Case], adapter: Adapter, begun: dt.datetime, seconds: float
) -> Report:
    """The report of a run of these cases; it is complete when each of them has a result."""
    order = {case.id: n for n, case in enumerate(cases)}
    found = sorted(results, key=lambda result: order[result.case.id])
    gateway = {
        "name": adapter.name,
        "version": adapter.version,
        "admission": str(adapter.admission),
        "features": sorted(adapter.features),
    }
    return Report(gateway, environment.described(), begun, seconds, len(found) == len(order), tuple(found))


def to_document(report: Report) -> dict[str, Any]:
    """The report as plain values, in the order in which it is read."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "gateway": {**report.gateway, "features": [str(each) for each in report.gateway["features"]]},
        "environment": report.environment,
        "begun": report.begun.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "seconds": round(report.seconds, 1),
        "complete": report.complete,
        "profiles": {
            str(profile): {str(outcome): counts[outcome] for outcome in Outcome}
            for profile, counts in report.profiles.items()
        },
        "cases": [_case(result) for result in report.results],
    }


def to_yaml(report: Report) -> str:
    """The report as it is kept."""
    return dump(to_document(report))


def without_times(document: dict[str, Any]) -> dict[str, Any]:
    """A report as plain values without what differs from run to run."""
    found = copy.deepcopy({key: value for key, value in document.items() if key not in _TIMES})
    for case in found["cases"]:
        case.pop("seconds", None)
    return found


def _case(result: Result) -> dict[str, Any]:
    case = result.case
    document: dict[str, Any] = {
        "id": case.id,
        "title": case.title,
        "profile": str(case.profile),
        "outcome": str(result.outcome),
    }
    if result.outcome is Outcome.FAILED:
        document["proves"] = case.proves
    if case.sources:
        document["sources"] = list(case.sources)
    if result.reason:
        document["reason"] = result.reason
    if result.outcome is not Outcome.SKIPPED:
        document["seconds"] = round(result.seconds, 2)
        document["steps"] = [_step(played) for played in result.played]
    return document


def _step(played: Played) -> dict[str, Any]:
    document: dict[str, Any] = {"step": played.step}
    if played.checks:
        document["observed"] = {check.what: _plain(check.observed) for check in played.checks}
    if not played.ok:
        document["expected"] = {check.what: _plain(check.expected) for check in played.checks if not check.ok}
    return document


def _plain(value: Any) -> Any:
    """What the YAML writer takes."""
    return str(value) if isinstance(value, float) else value
