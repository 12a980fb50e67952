"""What a machine lacks."""

from __future__ import annotations

from typing import Any, NoReturn

import pytest


def lacking(config: pytest.Config, missing: object) -> NoReturn:
    """Skip for a missing capability, which ``missing`` names; with ``--enforce`` it is a failure."""
    if config.getoption("--enforce"):
        pytest.fail(f"missing capability: {missing}")
    pytest.skip(f"missing capability: {missing}")


def only_on(request: pytest.FixtureRequest, stack: str, capability: str) -> Any:
    """The session's stack where it is that one; else skip for what it alone has."""
    if request.config.getoption("--stack") != stack:
        pytest.skip(f"missing capability: {capability} (--stack {stack} has one)")
    return request.getfixturevalue("stack")
