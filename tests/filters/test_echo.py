"""Events that are the one before but for their text: passed over unread, with the same outcome as if read."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmroute.render.lua import bundle
from tests.filters.lua_engine import LuaEngine
from tests.filters.proxy import ENGINES, SSE_ANSWER, tokens
from tests.filters.test_streams import UNASKED

SOURCES: Final = Path(__file__).parents[2] / "filters" / "lua" / "src"
_ON: Final = "local MAX_EVENT = 1024"


@functools.cache
def _engines(name: str) -> tuple[LuaEngine, LuaEngine]:
    """With the comparison and without, each as one worker's streams share it."""
    return LuaEngine(name), LuaEngine(name, _without())


def _without() -> str:
    """The bundle in which every event is too long to be learnt."""
    sources = {path.stem: path.read_text(encoding="utf-8") for path in SOURCES.glob("*.lua")}
    assert _ON in sources["echo"]
    sources["echo"] = sources["echo"].replace(_ON, "local MAX_EVENT = 0")
    return bundle(sources)


def _event(**members: Any) -> str:
    return f"data: {json.dumps(members)}\n\n"


def _delta(text: str, **more: Any) -> str:
    return _event(id="c", choices=[{"delta": {"content": text}, "name": "n"}], **more)


# Pairs of events that differ in one string, where that string matters or is no plain text.
_TRICKY: Final = [
    _delta("a"),
    _delta("bc"),
    _delta(""),
    _delta('q"q'),
    _delta("s\\"),
    _delta("é\n"),
    _delta("a", usage=None),
    _delta("longer text", usage=None),
    _delta("a", usage={"total_tokens": 5}),
    _delta("b", usage={"total_tokens": 6}),
    _delta("a").replace("choices", "Choices"),
    _delta("a").replace("[{", "[").replace("}]", "]"),
    _delta("a").replace('"a"', '"a"x'),
    _delta("a").replace('"a"', 'a"'),
    _delta("a").replace('"a"', '"\\x"'),
    _delta("a").replace("content", "other"),
    _event(type="content_block_delta", delta={"text": "x"}),
    _event(type="content_block_delta", delta={"text": "yy"}),
    _event(type="message_delta", delta={"text": "x"}),
    _event(type="x_delta", delta="x"),
    _event(type="x_delt", delta="x"),
    _event(candidates=[{"text": "x"}]),
    _event(candidates=[]),
    _event(choices=[], usage={"total_tokens": 7}),
    "data: [DONE]\n\n",
]


@pytest.mark.parametrize("name", ENGINES)
def test_an_echo_means_what_reading_it_would_say(name: str) -> None:
    """Any order of events that differ in one string: the same bytes and numbers with the comparison and without."""
    engines = _engines(name)

    @settings(max_examples=400, deadline=None, database=None, derandomize=True)
    @given(st.lists(st.sampled_from(_TRICKY), min_size=2, max_size=12))
    def agree(events: list[str]) -> None:
        outcomes = []
        for engine in engines:
            stream = engine.stream()
            stream.request(UNASKED)
            message = stream.answer([event.encode() for event in events], SSE_ANSWER, watch=True)
            outcomes.append((message.chunks, [tokens(seen) for seen in message.seen], stream.logs))
        assert outcomes[0] == outcomes[1]

    agree()


@pytest.mark.parametrize("first", _TRICKY)
@pytest.mark.parametrize("name", ENGINES)
def test_after_two_of_a_kind_any_event_is_told_apart(name: str, first: str) -> None:
    """What two like events taught is not taken for any other event."""
    engines = _engines(name)
    for other in _TRICKY:
        outcomes = []
        for engine in engines:
            stream = engine.stream()
            stream.request(UNASKED)
            taught = [first, first.replace('"a"', '"zz"').replace('"x"', '"zz"')]
            message = stream.answer([e.encode() for e in (*taught, other)], SSE_ANSWER)
            outcomes.append((message.body, tokens(stream.metadata)))
        assert outcomes[0] == outcomes[1], other
