"""Twenty thousand random requests and answers of a fixed seed: the Lua says what the Python oracle says."""

from __future__ import annotations

import pytest

from tests.filters.fuzz.run import job
from tests.filters.fuzz.show import show

SHARE = 2_500
"""Cases of one test, so that workers share them. ``make fuzz`` runs as many as one likes, by other seeds."""


@pytest.mark.parametrize("name", ["luajit21"] * 6 + ["lua51"] * 2)
def test_no_divergence(name: str, request: pytest.FixtureRequest) -> None:
    """Bytes that go on, numbers at the end and on the way, the model, and no fault."""
    number = request.node.callspec.indices["name"]
    found = job(name, f"fixed.{number}", SHARE)
    assert found is None, "\n".join(show(found))
