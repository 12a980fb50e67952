"""What is read of a route's context is kept, by the ``id`` that it gives itself."""

from __future__ import annotations

import pytest

from llmroute.render.lua import JSON
from tests.filters.lua_engine import LuaEngine
from tests.filters.proxy import CONTEXT
from tests.filters.test_limits import proxy_headers


def context(quantity: int, said: JSON) -> JSON:
    """One limit of so many tokens; ``said`` is the id, None for none."""
    limit: JSON = {"reported": 9, "window": 60, "kind": "tokens", "quantity": quantity, "unit": "minute"}
    assert isinstance(CONTEXT, dict)
    made: JSON = {**CONTEXT, "limits": [limit], "id": said}
    return made


def told(engine: LuaEngine, given: JSON) -> str | None:
    """The limit that an answer names."""
    stream = engine.stream(given)
    stream.request(b'{"model": "m", "messages": []}')
    headers = [(":status", "200"), ("content-type", "application/json"), *proxy_headers("9, 9;w=60", 9, 12)]
    return stream.answer([b"{}"], headers).header("x-ratelimit-limit-tokens")


def test_a_context_of_the_same_id_is_not_read_again(lua_engine: LuaEngine) -> None:
    """It is taken for the one that was read; so whoever makes contexts says another id when anything changes."""
    assert told(lua_engine, context(10, "a1")) == "10"
    assert told(lua_engine, context(20, "a1")) == "10"
    assert told(lua_engine, context(20, "a2")) == "20"
    assert told(lua_engine, context(20, "a1")) == "10"


@pytest.mark.parametrize("said", [None, "", 7, ["a"]])
def test_a_context_without_an_id_is_read_for_each_request(lua_engine: LuaEngine, said: JSON) -> None:
    """So is one whose id is no text."""
    assert told(lua_engine, context(10, said)) == "10"
    assert told(lua_engine, context(20, said)) == "20"


def test_more_contexts_than_are_kept(lua_engine: LuaEngine) -> None:
    """Those of policies that are gone do not stay for ever, and whoever comes back is read again."""
    for number in range(1, 1101):
        assert told(lua_engine, context(number, f"many-{number}")) == str(number)
    assert told(lua_engine, context(5, "many-1")) == "5"
    assert told(lua_engine, context(6, "many-1100")) == "1100"
