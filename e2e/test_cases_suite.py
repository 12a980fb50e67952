"""The cases of the conformance suite at the stack of the session; ``test_formats.py`` has those of formats."""

from __future__ import annotations

from typing import Final

import pytest

from e2e.suite import RunCase, by_policy
from llmroute.conformance.case import Case, Profile
from llmroute.conformance.cases import all_cases
from llmroute.conformance.features import Admission

CASES: Final = by_policy(
    case
    for case in all_cases()
    if case.profile is not Profile.FORMATS and case.admission in {None, Admission.BELOW}  # no stack admits otherwise
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_case(run_case: RunCase, case: Case) -> None:
    """Step by step: statuses, what is told, what the upstream sees, and every counter."""
    run_case(case)
