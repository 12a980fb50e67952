"""Options and fixtures of all test suites."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
from hypothesis import settings

from e2e.capability import lacking
from e2e.stacks.protocol import Unavailable
from e2e.stacks.tools import tool

# How long an example takes is the machine's business: what is slow has a test of its own, with a bound.
settings.register_profile("llmroute", deadline=None)
settings.load_profile("llmroute")


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--stack``, ``--record``, ``--examples`` and ``--enforce``."""
    parser.addoption("--stack", default="local", help="where the e2e cases run (see e2e/stacks)")
    parser.addoption("--record", metavar="FILE", help="write what the e2e cases saw, for tools/same_records.py")
    parser.addoption("--examples", type=int, default=200, metavar="N", help="policies that e2e/test_traffic.py tries")
    parser.addoption("--enforce", action="store_true", help="a missing capability is a failure, not a skip")


@pytest.fixture(scope="session")
def ratelimit_binary(request: pytest.FixtureRequest) -> Path:
    """The real rate limit service; a machine without it skips, or fails with ``--enforce``."""
    try:
        return tool("ratelimit")
    except Unavailable as missing:
        lacking(request.config, missing)


def pytest_collection_finish() -> None:
    """Thousands of collected tests stay as long as the session, and to look them all through takes most of a second.

    Nothing else runs meanwhile, so the embedded rate limit service, which lives in this process, would answer late.
    """
    gc.collect()
    gc.freeze()
