"""No table of the filter whose fields have short names in the bundle is ever used under computed names."""

from __future__ import annotations

from typing import Any

import pytest

from tests.filters import prepaying, test_holds
from tests.filters.corpus import tricks
from tests.filters.lua_engine import LuaEngine
from tests.filters.proxy import ENGINES
from tests.filters.settling import Service, answer, asked
from tests.filters.test_corpus import send
from tests.filters.watched import sources, watched_filter


def seen(engine: LuaEngine, name: str) -> set[str]:
    """What the watch has noted."""
    table: Any = engine.lua.globals()[name.encode()]
    return {key.decode() for key in table}


@pytest.mark.parametrize("name", ENGINES)
def test_records_and_maps_are_two_things(name: str) -> None:
    """In all tricks of the corpus, and where the filter calls the service itself: many places, no table that is both."""
    engine = LuaEngine(name, watched_filter())
    for trick in tricks():
        stream = send(engine, trick)
        for chunks in ([trick.answer], [trick.answer[:9], trick.answer[9:]]):
            stream.answer(chunks, [(":status", str(trick.status)), *trick.answer_headers])
        assert stream.logs == []
    asked(engine, Service()).answer([answer()])
    test_holds.asked(engine).answer([answer()])
    admitted = prepaying.prepaying(engine, prepaying.Service())
    prepaying.ask(admitted)
    admitted.answer([answer()])
    assert len(seen(engine, "SITES")) >= 40
    assert seen(engine, "MIXED") == set()


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (
            "local t = { sink = 1 }\nfunction envoy_on_request(h) return t[h:headers():get(':path')] end",
            "filter:2: sink",
        ),
        (
            "local pairs, t = pairs, { sink = 1 }\nfunction envoy_on_request() for _ in pairs(t) do end end",
            "pairs: sink",
        ),
        ("local next, t = next, { sink = 1 }\nfunction envoy_on_request() return next(t) end", "next: sink"),
    ],
)
def test_the_watch_sees_a_record_that_is_a_map(change: str, found: str) -> None:
    """It can fail: a table with a field that has a short name, under a name from the request or walked through."""
    engine = LuaEngine("luajit21", watched_filter(sources() | {"filter": change}))
    engine.stream().request()
    assert seen(engine, "MIXED") == {found}
