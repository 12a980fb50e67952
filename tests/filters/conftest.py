"""Every test of the filter runs on both Lua engines."""

from __future__ import annotations

import pytest

from tests.filters.proxy import ENGINES, Engine

_ENGINES: dict[str, Engine] = {}


@pytest.fixture(params=ENGINES, scope="session")
def engine(request: pytest.FixtureRequest) -> Engine:
    """The filter on one Lua engine, shared by all tests as a worker's streams share it."""
    name: str = request.param
    if name not in _ENGINES:
        _ENGINES[name] = Engine(name)
    return _ENGINES[name]
