"""The suite finds defects: gateways with one put into them on purpose turn the cases red that are about it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest

from e2e.defects import DEFECTS, Defect, of_filter
from llmroute.conformance.adapters.find import LOCAL
from llmroute.conformance.adapters.stack import StackAdapter
from llmroute.conformance.cases import chosen
from llmroute.conformance.runner import Outcome, Result, run
from tests.filters.fuzz.mutants import Mutant

pytestmark = pytest.mark.slow

WITHIN: Final = 3.0
"""Seconds in which a charge must land: what is never charged is waited for."""


def results(defect: Defect) -> Iterator[Result]:
    """Of its cases, at a gateway that has it."""
    change, stack = defect.made()
    with StackAdapter("defect", stack) as adapter:
        yield from run(chosen(ids=(*defect.red, *defect.green)), adapter, within=WITHIN)
    assert change.made, f"{defect.name} was put nowhere"


def what_differs(result: Result) -> set[str]:
    """What was looked at and came otherwise."""
    return {check.what for played in result.played for check in played.checks if not check.ok}


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_a_defect(pytestconfig: pytest.Config, defect: Defect) -> None:
    """The cases about it fail, by what differs; those that have nothing to do with it pass."""
    if pytestconfig.getoption("--stack") != LOCAL:
        pytest.skip("for --stack local")
    found = {result.case.id: result for result in results(defect)}
    assert set(found) == {*defect.red, *defect.green}
    assert {name for name, result in found.items() if result.outcome is Outcome.FAILED} == set(defect.red)
    assert {name for name, result in found.items() if result.outcome is Outcome.PASSED} == set(defect.green)
    for name in defect.red:
        assert defect.differs <= what_differs(found[name]), name


def test_a_defect_that_has_lost_its_place() -> None:
    """It is said, not passed over."""
    with pytest.raises(LookupError, match=r"meter\.lua does not have once: no such line"):
        of_filter(Mutant("meter", "no such line", ""))
