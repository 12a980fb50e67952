"""What the Lua is told of its route is a text, which is read once."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmroute.names import MODEL_HEADER
from llmroute.render.lua import JSON
from tests.filters.lua_engine import LuaEngine
from tests.filters.proxy import CONTEXT
from tests.filters.test_limits import proxy_headers


def context(quantity: int, more: int = 0) -> JSON:
    """A limit of so many tokens, which answers name, and ``more`` of other sizes."""
    limits: list[JSON] = [
        {"reported": 9 + i, "window": 60, "kind": "tokens", "quantity": quantity + i, "unit": "minute"}
        for i in range(more + 1)
    ]
    assert isinstance(CONTEXT, dict)
    return {**CONTEXT, "limits": limits}


def told(engine: LuaEngine, given: JSON) -> str | None:
    """The limit that an answer names."""
    stream = engine.stream(given)
    stream.request(b'{"model": "m", "messages": []}')
    headers = [(":status", "200"), ("content-type", "application/json"), *proxy_headers("9, 9;w=60", 9, 12)]
    return stream.answer([b"{}"], headers).header("x-ratelimit-limit-tokens")


def test_a_context_that_was_read_is_not_read_again() -> None:
    """The first request of a route reads its thousand limits, the others do not."""
    engine = LuaEngine("lua51", prelude=(Path(__file__).parent / "counting.lua").read_bytes())
    work = engine.lua.globals()
    told(engine, context(10))

    def instructions(given: JSON) -> int:
        stream = engine.stream(given)
        work[b"work_begin"]()
        stream.request(b'{"model": "m", "messages": []}')
        return int(work[b"work_end"]()[0])

    usual, first, second = (instructions(each) for each in (context(10), context(20, 999), context(20, 999)))
    assert first > 100_000
    assert second <= usual + 100  # it counts by hundreds


def test_one_context_after_the_other(lua_engine: LuaEngine) -> None:
    """Each route is told its own, whatever was read before."""
    for quantity in (10, 20, 10, 30, 20):
        assert told(lua_engine, context(quantity)) == str(quantity)


def test_more_contexts_than_are_kept(lua_engine: LuaEngine) -> None:
    """Those of policies that are gone do not stay for ever, and one that comes back is read again."""
    for quantity in (*range(1, 1101), 1, 1100):
        assert told(lua_engine, context(quantity)) == str(quantity)


@pytest.mark.parametrize(
    "said",
    [
        *(
            b"",
            b"model",
            b"null",
            b"[]",
            b'{"limits": [',
            b'{"identity": "x-user-id"} x',
            b'{"identity": "x-user-id",}',
        ),
        *(b'{"identity" "x-user-id"}', b'{identity: "x-user-id"}', b'{"identity": x-user-id}', 7, True, None),
    ],
)
def test_what_is_no_object_means_the_defaults(lua_engine: LuaEngine, said: object) -> None:
    """As does a route that says nothing: nobody has to say who asks, and the model is where it is by default."""
    stream = lua_engine.stream({"identity": "x-user-id"})
    stream.request(b'{"model": "m"}')
    assert stream.response is not None
    stream = lua_engine.stream({})
    stream.raw[b"context"][b"route"] = said
    assert stream.request(b'{"model": "m"}').header(MODEL_HEADER) == "m"
    assert stream.response is None
    assert stream.logs == []


def test_every_kind_of_value_is_read(lua_engine: LuaEngine) -> None:
    """Blanks, escapes, numbers, words and what is empty, at any depth."""
    said = (
        b' {"defaults" : { "x-a": "caf\\u00e9 \\"1\\"" , "x-b":"" , "x-c": null, "x-d": 1e2 } ,\n'
        b' "limits": [ ], "more": [[{}, [-0.5, true, false, null]]], "bodyLimit" : 1e1, "identity": null }\r\n'
    )
    stream = lua_engine.stream({})
    stream.raw[b"context"][b"route"] = said
    asked = stream.request(b'{"model": "a-model-beyond-ten-bytes"}')
    assert asked.header("x-a") == 'caf\u00e9 "1"'
    assert asked.header("x-b") == ""
    assert asked.header("x-c") is None
    assert asked.header("x-d") is None
    assert asked.header(MODEL_HEADER) == "unknown"
    assert stream.logs == []
