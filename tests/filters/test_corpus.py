"""Every trick of the corpus, on both engines, its answer cut at many places."""

from __future__ import annotations

from typing import Any

import pytest

from llmroute import names
from tests.filters.corpus import Trick, load, tricks
from tests.filters.proxy import CONTEXT, Engine, Stream, tokens

TRICKS = tricks()
EVERY_CUT = 400
"""Answers of fewer bytes are cut in two at every byte."""
BYTE_BY_BYTE = 100_000
"""Longer ones do not come byte by byte."""
DETAILS = {"cached": names.CACHED_TOKENS, "cache_write": "cache_write_tokens", "reasoning": names.REASONING_TOKENS}


LONG_REQUEST = 10_000
"""Not read again for each way to cut the answer, which is not the trick then."""


def chunkings(trick: Trick) -> list[list[bytes]]:
    """The answer whole, in small steps, and in two pieces at every byte when it is short."""
    body = trick.answer
    if len(trick.request or b"") > LONG_REQUEST:
        return [[body]]
    steps = (1, 3) if len(body) <= BYTE_BY_BYTE else (1021, 65536)
    pieces = [[body[at : at + step] for at in range(0, len(body), step)] for step in steps]
    pairs = [[body[:at], body[at:]] for at in range(1, len(body))] if len(body) < EVERY_CUT else []
    return [[body], *pieces, *pairs]


def send(engine: Engine, trick: Trick) -> Stream:
    """The request through the filter: its model and its body are as the file says."""
    context: dict[str, Any] = dict(CONTEXT) if isinstance(CONTEXT, dict) else {}
    stream = engine.stream(context | trick.context)
    headers = [(name.lower(), value) for name, value in trick.request_headers]
    message = stream.request(trick.request, headers, path=trick.path, method=trick.method)
    assert message.header(names.MODEL_HEADER) == trick.model
    assert message.body == trick.upstream
    assert stream.metadata[names.MODEL] == trick.model
    return stream


@pytest.mark.parametrize("trick", TRICKS, ids=lambda trick: trick.name)
def test_trick(engine: Engine, trick: Trick) -> None:
    """Model, both bodies, numbers and source are what the file says, whatever the pieces; nothing is a fault."""
    for chunks in chunkings(trick):
        stream = send(engine, trick)
        message = stream.answer(chunks, [(":status", str(trick.status)), *trick.answer_headers])
        assert message.body == trick.client
        where = (trick.title, [len(chunk) for chunk in chunks][:4])
        assert tokens(stream.metadata) == trick.tokens, where
        for name, value in trick.details.items():
            assert stream.metadata[DETAILS[name]] == value, (name, where)
        for name, header in trick.headers.items():
            assert message.header(name) == header
        assert stream.logs == []


def test_titles_tell_tricks_apart() -> None:
    """No two files have the same title, and there are as many as were asked for."""
    titles = [trick.title for trick in TRICKS]
    assert len(set(titles)) == len(titles) >= 60


@pytest.mark.parametrize(
    "text",
    [
        "title: a\nwhy: b\n",
        "title: a\nwhy: b\nexpect: {}\nmore: 1\n",
        "title: a\nwhy: b\nexpect: {tokken: 1}\n",
        "title: a\nwhy: b\nexpect: {}\nanswer: {body: ''}\n",
        "title: a\nwhy: b\nexpect: {}\nrequest: {body: {times: 3}}\n",
    ],
    ids=["no expect", "unknown key", "unknown expectation", "answer without tokens", "no bytes"],
)
def test_a_file_that_says_nonsense_is_refused(tmp_path: Any, text: str) -> None:
    """A misspelt expectation would assert nothing."""
    file = tmp_path / "trick.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match=r"yaml|no bytes"):
        load(file)
