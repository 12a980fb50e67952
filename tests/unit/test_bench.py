"""The filter cut into parts, as the benchmark measures them."""

from __future__ import annotations

import importlib

import pytest

from llmroute.render.lua import filter_source
from tests.filters.lua_engine import LuaEngine
from tools.bench import parts

BODY = b'{"model":"m","messages":["0123456789"]}'
ANSWER = b'{"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}'


@pytest.mark.slow
def test_each_part_does_more_than_the_one_before() -> None:
    """All parts run without a fault; metadata is written by more and more of them, and the last is what ships."""
    writes = []
    scripts = parts.scripts()
    for script in scripts.values():
        stream = LuaEngine("luajit21", script).stream()
        stream.request(BODY)
        assert stream.answer([ANSWER]).body == ANSWER
        assert stream.logs == []
        writes.append(stream.writes)
    assert writes == sorted(writes)
    assert writes[0] == 0
    assert len(set(writes)) == 5
    assert list(scripts.values())[-1] == filter_source()


def test_a_part_that_is_gone_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table would be wrong without a word if a cut met nothing."""
    gone = parts.Cut("nothing", "filter", "  no such line\n")
    monkeypatch.setattr(parts, "ANSWER", (gone,))
    with pytest.raises(ValueError, match=r"filter\.lua has not once 'no such line', where 'nothing' is cut off"):
        parts.scripts()


def test_the_floor_is_lua() -> None:
    """What is measured beside the parts loads."""
    lua = importlib.import_module("lupa.luajit21").LuaRuntime()
    lua.execute(parts.FLOOR)
    assert {"envoy_on_request", "envoy_on_response"} <= set(lua.globals())
