"""What is promised of requests that come at once, against clients who try to break it."""

from __future__ import annotations

from typing import Final

import pytest

from e2e.conftest import Serve
from e2e.overshoot import BEGINNINGS, TERMS, TIMES, Terms, rush
from e2e.stacks import Stack
from e2e.stacks.local import LocalStack

FEW: Final = 2


@pytest.mark.parametrize("beginning", BEGINNINGS)
@pytest.mark.parametrize("terms", TERMS, ids=lambda terms: f"{terms.mode}-{terms.settle}")
def test_nobody_gets_past_the_bound(serve: Serve, stack: Stack, terms: Terms, beginning: int) -> None:
    """Everyone is refused in the end, everyone pays to the token, and what was used is within what was promised."""
    if terms.refunds and not isinstance(stack, LocalStack):
        pytest.skip("missing capability: a rate limit service that takes refunds")
    serve(terms.policy)
    rushes = [rush(stack, beginning) for _ in range(FEW if isinstance(stack, LocalStack) else TIMES)]
    for each in rushes:
        assert 429 in each.statuses <= {200, 429}
        assert each.used == each.owed
        assert each.past <= max(0, terms.bound - 1), "fewer than promised, as the last one was admitted below the limit"
