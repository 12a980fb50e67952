"""Formats: every fixture of ``wire`` through the gateway: the model that is counted, the bytes, the charge."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from llmroute.conformance.case import CHAT, Case, Expect, Profile, Request, Seen, Send
from llmroute.conformance.features import Feature
from llmroute.conformance.policies import per_user
from llmroute.conformance.rows import ok
from llmroute.conformance.upstream import Chunk, Script
from llmroute.conformance.wire import Fixture, load

_SENTINEL: Final = 3
"""Tokens of a request after the one of the fixture: once they are counted, so is all that came before."""
_EVERYWHERE: Final = "openai_chat"
"""The format that every gateway has."""


def cases() -> Iterator[Case]:
    """Each fixture; where usage is asked for on a client's behalf, also as of a client that asks itself."""
    for fixture in load():
        yield case_of(fixture)
        if fixture.forced:
            yield case_of(fixture.asked())


def case_of(fixture: Fixture) -> Case:
    """One fixture as a case."""
    script = Script(headers={"content-type": fixture.content_type}, chunks=(Chunk(fixture.answer),))
    request = Request(headers=fixture.headers, body=fixture.request, path=fixture.path)
    upstream = Seen(model=fixture.model, path=fixture.path)
    expect = Expect((200,), charges=(fixture.numbers.total,), gets=fixture.client, upstream=upstream)
    return Case(
        fixture.id,
        f"{fixture.api.replace('_', ' ')}: {fixture.title}",
        Profile.FORMATS,
        per_user(1_000_000),
        (Send(request, script, expect), ok(_SENTINEL)),
        "The model is read, the bytes pass, and the counter has what the answer reports, to the token.",
        needs=frozenset(_needs(fixture)),
    )


def _needs(fixture: Fixture) -> Iterator[Feature]:
    if fixture.api != _EVERYWHERE:
        yield Feature(f"api-{fixture.api}")
    if fixture.forced:
        yield Feature.FORCED_USAGE
    if fixture.numbers.source == "estimated":
        yield Feature.ESTIMATES
    if fixture.numbers.cached:
        yield Feature.CACHED
    if fixture.numbers.source == "none" or _open(fixture) or _array(fixture):
        # Who reads what passes may answer itself, drops what is no event, and asks for events alone.
        yield Feature.TRANSPARENT
    if fixture.api == _EVERYWHERE and fixture.path != CHAT:
        yield Feature.ANY_REQUEST


def _array(fixture: Fixture) -> bool:
    """Whether it is a stream that is one array."""
    return ":streamGenerateContent" in fixture.path and "alt=sse" not in fixture.path


def _open(fixture: Fixture) -> bool:
    """Whether its last event does not end: by the specification it is none then."""
    ends = (b"\n\n", b"\r\r", b"\r\n\r\n")
    return fixture.content_type.startswith("text/event-stream") and not fixture.answer.endswith(ends)
