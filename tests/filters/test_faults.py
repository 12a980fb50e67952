"""A fault in the filter never breaks traffic and never frees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from llmroute import names
from tests.filters.proxy import SSE_ANSWER, Engine, tokens
from tests.filters.test_streams import DONE, UNASKED, delta, last, usage

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = b'{"model":"secret-model","messages":["secret"],"stream":true}'


def failing(key: str, value: object) -> Callable[[bytes, object], bool]:
    """A metadata write that raises."""
    return lambda got, what: got == key.encode() and what == value


@pytest.mark.parametrize(
    ("key", "value"), [("total_tokens", 0), ("model", b"secret-model"), ("prompt_estimate", 3), ("forced_usage", True)]
)
def test_request_fault(engine: Engine, key: str, value: object) -> None:
    """Wherever the request fails: it goes on with headers that no limit misses, counted, logged without its body."""
    stream = engine.stream(fail=failing(key, value))
    message = stream.request(SECRET, [(names.MODEL_HEADER, "spoofed"), (names.USER_HEADER, " ")])
    assert message.header(names.MODEL_HEADER) in {"secret-model", "unknown"}
    assert message.header(names.USER_HEADER) == "anonymous"
    assert stream.metadata["filter_error"] == 1
    assert len(stream.logs) == 1
    assert stream.logs[0].startswith("llmroute: ")
    assert "secret" not in stream.logs[0]


def test_fault_before_the_model_is_read(engine: Engine) -> None:
    """A header that cannot be set does not keep the model from being set."""
    stream = engine.stream({"defaults": {"x-user-id": "no\nheader"}})
    assert stream.request(SECRET, [(names.MODEL_HEADER, "spoofed")]).header(names.MODEL_HEADER) == "secret-model"
    assert stream.metadata["filter_error"] == 1


def test_stream_fault_loses_no_byte(engine: Engine) -> None:
    """After a fault the rest passes as it comes, held bytes first, and the last good numbers stay."""
    stream = engine.stream(fail=failing(names.COMPLETION_TOKENS, 2))
    stream.request(UNASKED)
    first, second = delta("a", usage=None).encode(), delta("b", usage=None).encode()
    tail = (last(usage(5, 2, 7)) + DONE).encode()
    message = stream.answer([first, second[:9], second[9:12], second[12:] + tail[:5], tail[5:]], SSE_ANSWER)
    assert message.body == delta("a").encode() + second + tail
    assert tokens(stream.metadata) == (2, 1, 3, "estimated")
    assert stream.metadata["filter_error"] == 1


def test_json_fault_passes_the_answer(engine: Engine) -> None:
    """An answer whose metering fails is untouched, and costs what the estimate said last."""
    stream = engine.stream(fail=failing(names.TOTAL_TOKENS, 7))
    stream.request(UNASKED)
    chunks = [b'{"usage":', b'{"total_tokens":7}', b"}"]
    message = stream.answer(chunks)
    assert message.chunks == chunks
    assert stream.metadata[names.TOTAL_TOKENS] == 5
    assert stream.metadata["filter_error"] == 1
    assert len(stream.logs) == 1


def test_response_fault_at_the_headers(engine: Engine) -> None:
    """When the answer cannot even be begun to be metered it passes, and the fault is counted."""
    stream = engine.stream({"limits": [{"reported": 9, "window": 60, "kind": 1}]})
    stream.request(UNASKED)
    message = stream.answer([b"x"], [(":status", "200"), ("x-ratelimit-limit", "9, 9;w=60")])
    assert message.body == b"x"
    assert stream.metadata["filter_error"] == 1
