"""Whatever comes, the gateway admits and charges what the reference limiter does; and a defect is found by it."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from e2e.defects import DEFECTS, Defect
from e2e.traffic import Traffic
from llmroute.conformance.adapters.find import LOCAL
from llmroute.conformance.adapters.local import LocalStack

pytestmark = pytest.mark.slow

STEPS: Final = 25
"""Of one example, at most."""
FOUND_WITHIN: Final = 100
"""Examples in which a defect has to be found."""


@pytest.fixture(autouse=True)
def on_the_local_stack(pytestconfig: pytest.Config) -> None:
    """The one whose time can be moved."""
    if pytestconfig.getoption("--stack") != LOCAL:
        pytest.skip("missing capability: a clock that a test can turn (--stack local has one)")


def drive(stack: LocalStack, examples: int, *phases: Phase) -> None:
    """So many policies, each with its traffic, at this stack."""
    machine = type("Traffic", (Traffic,), {"stack": stack})
    checked = settings(
        max_examples=examples,
        stateful_step_count=STEPS,
        phases=phases,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
        report_multiple_bugs=False,
    )
    run_state_machine_as_test(machine, settings=checked)


def test_the_gateway_is_the_reference(pytestconfig: pytest.Config) -> None:
    """Every decision and every counter, after every step."""
    with LocalStack() as stack:
        drive(stack, pytestconfig.getoption("--examples"), Phase.generate, Phase.shrink)


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_a_defect_is_found(defect: Defect) -> None:
    """By a decision or a counter that is another."""
    change, stack = defect.made()
    with stack, pytest.raises(AssertionError):
        drive(stack, FOUND_WITHIN, Phase.generate)
    assert change.made
