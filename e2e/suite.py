"""The conformance suite's runner under pytest: a case at the stack of the session, and what differs as the failure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import pytest

from e2e.adapters import adapter_of
from e2e.stacks import Stack
from llmroute.conformance.applies import lacking
from llmroute.conformance.case import Case
from llmroute.conformance.environment import own_features
from llmroute.conformance.reading import read_at
from llmroute.conformance.report.text import explained
from llmroute.conformance.runner import Outcome, run_case

RunCase = Callable[[Case], None]


def runner(stack: Stack, config: pytest.Config) -> RunCase:
    """``run(case)`` at this stack. A case that needs more than the stack can do is a skip that says what."""
    adapter = adapter_of(config.getoption("--stack"), stack)

    def run(case: Case) -> None:
        if reason := lacking(case, adapter.admission, adapter.features | own_features()):
            pytest.skip(f"missing capability: {reason}")
        read = read_at(case, adapter)
        with adapter.serve(read.policy, fail_open=read.fail_open) as gateway:
            result = run_case(read, gateway, adapter)
        if result.outcome is not Outcome.PASSED:
            pytest.fail("\n".join(explained(result)), pytrace=False)

    return run


def by_policy(cases: Iterable[Case]) -> Sequence[Case]:
    """The same cases, those with one policy in a row: a new policy is a new gateway."""
    groups: dict[tuple[str, bool], list[Case]] = {}
    for case in cases:
        groups.setdefault((case.policy, case.fail_open), []).append(case)
    return [case for group in groups.values() for case in group]
