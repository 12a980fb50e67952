"""What a machine lacks."""

from __future__ import annotations

from typing import NoReturn

import pytest


def lacking(config: pytest.Config, missing: object) -> NoReturn:
    """Skip for a missing capability, which ``missing`` names; with ``--enforce`` it is a failure."""
    if config.getoption("--enforce"):
        pytest.fail(f"missing capability: {missing}")
    pytest.skip(f"missing capability: {missing}")
