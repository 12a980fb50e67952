"""Options of all test suites."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--stack`` and ``--enforce``."""
    parser.addoption("--stack", default="local", help="where the e2e cases run (see e2e/stacks)")
    parser.addoption("--record", metavar="FILE", help="write what the e2e cases saw, for tools/same_records.py")
    parser.addoption("--enforce", action="store_true", help="a missing capability is a failure, not a skip")
