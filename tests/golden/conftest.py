"""The CRDs that goldens are checked against."""

from __future__ import annotations

import pytest

from e2e.capability import lacking
from tools import crds


@pytest.fixture(scope="session")
def crds_at_hand(request: pytest.FixtureRequest) -> None:
    """The CRDs; a machine that can neither find nor fetch them skips, or fails with ``--enforce``."""
    try:
        crds.ensure()
    except crds.CrdsUnavailable as error:
        lacking(request.config, error)
