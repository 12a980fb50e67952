"""Every test of the filter runs on LuaJIT, and with ``-m slow`` on Lua 5.1 and wasm (``make test-engines``), with and without a gate."""

from __future__ import annotations

import pytest

from tests.filters.lua_engine import LuaEngine
from tests.filters.proxy import EVERY, EVERY_LUA, GATED, Engine, engine_named

_ENGINES: dict[str, Engine] = {}


@pytest.fixture(params=[*EVERY, pytest.param(GATED, marks=pytest.mark.slow)], scope="session")
def engine(request: pytest.FixtureRequest) -> Engine:
    """The filter on one engine, shared by all tests as a worker's streams share it."""
    return _engine(request.param)


@pytest.fixture(params=EVERY, scope="session")
def holding_engine(request: pytest.FixtureRequest) -> Engine:
    """The same, where the host lets it hold the headers of an answer until the body is there."""
    return _engine(request.param)


@pytest.fixture(params=EVERY_LUA, scope="session")
def lua_engine(request: pytest.FixtureRequest) -> LuaEngine:
    """The same, for what is about Lua alone."""
    engine = _engine(request.param)
    assert isinstance(engine, LuaEngine)
    return engine


def _engine(name: str) -> Engine:
    if name not in _ENGINES:
        _ENGINES[name] = engine_named(name)
    return _ENGINES[name]
