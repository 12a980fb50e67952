"""Every fixture of every API on every engine: model, bytes and all numbers are exact, whatever the pieces."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest

from llmroute import names
from llmroute.conformance.wire import Fixture, load
from llmroute.render.lua import lua_literal
from tests.filters.lua_engine import LuaEngine, handed
from tests.filters.proxy import CONTEXT, Engine, Stream

FIXTURES: Final = load()
ASKED: Final = tuple(fixture.asked() for fixture in FIXTURES if fixture.forced)
"""Streams that are made to tell their usage, for a client that asked for it."""
EVERY_CUT: Final = (Path(__file__).parent / "every_cut.lua").read_bytes()
LISTED: Final = {f"FX-{number:02}" for number in (1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12, 15, 18, 19, 20, 21, 22, 23)}
"""The streams and bodies that must be reproduced."""

each = pytest.mark.parametrize("fixture", [*FIXTURES, *ASKED], ids=lambda fixture: fixture.id)


def expected(fixture: Fixture) -> dict[str, Any]:
    """The metadata that an answer must leave."""
    numbers = fixture.numbers
    return {
        names.PROMPT_TOKENS: numbers.prompt,
        names.COMPLETION_TOKENS: numbers.completion,
        names.TOTAL_TOKENS: numbers.total,
        names.CACHED_TOKENS: numbers.cached,
        names.CACHE_WRITE_TOKENS: numbers.cache_write,
        names.REASONING_TOKENS: numbers.reasoning,
        names.USAGE_SOURCE: numbers.source,
    }


def headers(fixture: Fixture) -> list[tuple[str, str]]:
    """The head of the answer."""
    return [(":status", "200"), ("content-type", fixture.content_type)]


def requested(engine: Engine, fixture: Fixture) -> Stream:
    """A stream whose request has been through the filter."""
    stream = engine.stream()
    sent = stream.request(fixture.request, fixture.headers, path=fixture.path)
    assert sent.header(names.MODEL_HEADER) == fixture.model
    if fixture.forced:
        assert sent.body != fixture.request
    return stream


@each
def test_numbers_and_bytes(engine: Engine, fixture: Fixture) -> None:
    """Whole, byte by byte and in threes; what is not rewritten goes on piece by piece, as it came."""
    for size in (len(fixture.answer), 1, 3):
        chunks = [fixture.answer[at : at + size] for at in range(0, len(fixture.answer), size)]
        stream = requested(engine, fixture)
        message = stream.answer(chunks, headers(fixture))
        assert message.body == fixture.client
        if not stream.metadata.get("forced_usage"):
            assert message.chunks == chunks
        assert {key: stream.metadata[key] for key in expected(fixture)} == expected(fixture)
        assert stream.logs == []


@each
def test_every_cut(engine: Engine, fixture: Fixture) -> None:
    """The same in two pieces, at every byte."""
    if isinstance(engine, LuaEngine):
        cut_in_lua(engine, fixture)
        return
    for at in range(1, len(fixture.answer)):
        stream = requested(engine, fixture)
        message = stream.answer([fixture.answer[:at], fixture.answer[at:]], headers(fixture))
        assert message.body == fixture.client, at
        assert {key: stream.metadata[key] for key in expected(fixture)} == expected(fixture), at
        assert stream.logs == []


def cut_in_lua(engine: LuaEngine, fixture: Fixture) -> None:
    """Without leaving Lua between."""
    lua = engine.lua
    known = requested(engine, fixture).metadata
    wrong = lua.execute(EVERY_CUT)(
        engine.fake,
        lua.globals()[b"envoy_on_response"],
        lua.eval(handed(CONTEXT)),
        lua.eval(lua_literal(known).encode()),
        lua.table_from([lua.table_from([k.encode(), v.encode()]) for k, v in headers(fixture)]),
        fixture.answer,
        fixture.client,
        lua.eval(lua_literal(expected(fixture)).encode()),
    )
    assert wrong is None


def test_what_must_be_reproduced_is() -> None:
    """Every stream and body of the list has a fixture, and none names another."""
    covered = {name for fixture in FIXTURES for name in fixture.covers}
    assert covered == LISTED


@pytest.mark.parametrize(
    ("api", "kinds"),
    [
        ("openai_chat", {"json", "stream", "estimated"}),
        ("openai_completions", {"json", "stream", "estimated"}),
        ("openai_embeddings", {"json", "estimated"}),
        ("openai_responses", {"json", "stream", "estimated"}),
        ("azure", {"json", "stream", "estimated"}),
        ("anthropic", {"json", "stream", "estimated", "none"}),
        ("gemini", {"json", "stream", "estimated", "none"}),
        ("bedrock", {"json", "stream", "estimated"}),
        ("cohere", {"json", "stream", "estimated"}),
        ("ollama", {"json", "stream", "estimated"}),
    ],
)
def test_every_api_has_its_kinds(api: str, kinds: set[str]) -> None:
    """JSON and stream with reported usage, and what happens without."""
    mine = [fixture for fixture in FIXTURES if fixture.api == api]
    shapes = {
        "json" if "application/json" in f.content_type else "stream" for f in mine if f.numbers.source == "reported"
    }
    assert shapes | {f.numbers.source for f in mine} - {"reported"} == kinds
