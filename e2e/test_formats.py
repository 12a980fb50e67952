"""Every format through a whole stack: the model that the upstream sees, the bytes at the client, the charge."""

from __future__ import annotations

from typing import Final

import pytest

from e2e.suite import RunCase
from llmroute.conformance.case import Case, Profile
from llmroute.conformance.cases import chosen
from llmroute.conformance.wire import load

FORMATS: Final = chosen([Profile.FORMATS])


def test_every_fixture_is_a_case() -> None:
    """None is left out."""
    assert {fixture.id for fixture in load()} <= {case.id for case in FORMATS}


@pytest.mark.parametrize("case", FORMATS, ids=lambda case: case.id)
def test_format(run_case: RunCase, case: Case) -> None:
    """The path arrives as it was sent, with the model beside it; the counter has the total, to the token."""
    run_case(case)
