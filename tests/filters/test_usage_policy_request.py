"""What the route's usage policy and a body that cannot be read mean for a request."""

from __future__ import annotations

from typing import Final

import pytest

from llmroute import names
from llmroute.render.lua import JSON
from tests.filters.proxy import CONTEXT, Engine, Message, Sent, Stream

BODY: Final = b'{"model":"m","stream":true,"messages":["1234"],"max_tokens":500}'
DEPLOYMENT: Final = "/openai/deployments/dear/chat/completions"


def route(**more: JSON) -> JSON:
    """The context of a route with these keys, too."""
    assert isinstance(CONTEXT, dict)
    return {**CONTEXT, **more}


def untouched(stream: Stream, message: Message, model: str, estimate: int, body: bytes = BODY) -> None:
    """The bytes went on as they were, under this model and with this estimate of the prompt."""
    assert stream.logs == []
    assert message.body == body
    assert message.header("content-length") == str(len(body))
    assert message.header(names.MODEL_HEADER) == model
    assert stream.metadata[names.MODEL] == model
    assert stream.metadata["prompt_estimate"] == estimate
    assert "forced_usage" not in stream.metadata
    assert "unmetered" not in stream.metadata


@pytest.mark.parametrize("usage", [{"includeUsage": "Keep"}, {"includeUsage": "Keep", "onMissing": "Free"}])
def test_keep_forces_nothing(engine: Engine, usage: JSON) -> None:
    """``Keep`` leaves the client's choice alone."""
    stream = engine.stream(route(usage=usage))
    untouched(stream, stream.request(BODY), "m", 2)


@pytest.mark.parametrize(
    "usage", [None, {}, "Keep", {"includeUsage": "Force"}, {"includeUsage": 1}, {"includeUsage": ""}]
)
def test_force_is_the_default(engine: Engine, usage: JSON) -> None:
    """Usage is asked for unless the route says otherwise in so many words."""
    stream = engine.stream(route(usage=usage))
    assert stream.request(BODY).body == b'{"stream_options":{"include_usage":true},' + BODY[1:]
    assert stream.metadata["forced_usage"] is True


def test_keep_does_not_lift_the_clamp(engine: Engine) -> None:
    """The two policies are two."""
    stream = engine.stream(route(usage={"includeUsage": "Keep"}, maxTokens=7))
    assert stream.request(BODY).body == BODY.replace(b"500", b"7")
    assert "forced_usage" not in stream.metadata


@pytest.mark.parametrize(
    "coding", ["gzip", "GZIP", "br", "zstd", "x", "identity, gzip", "gzip, identity", "identity;q=1"]
)
def test_an_encoded_body_is_not_read(engine: Engine, coding: str) -> None:
    """Whatever it looks like: the model is unknown or the path's, the request is metered, no byte changes."""
    stream = engine.stream(route(maxTokens=7))
    message = stream.request(BODY, [("content-encoding", coding)])
    untouched(stream, message, names.UNKNOWN, 16)
    assert message.header("content-encoding") == coding
    stream = engine.stream(route(maxTokens=7))
    untouched(stream, stream.request(BODY, [("content-encoding", coding)], path=DEPLOYMENT), "dear", 16)


def test_two_codings_are_one_too_many(engine: Engine) -> None:
    """A plain one in front does not hide another."""
    stream = engine.stream()
    both = [("content-encoding", "identity"), ("content-encoding", "gzip")]
    untouched(stream, stream.request(BODY, both), names.UNKNOWN, 16)


@pytest.mark.parametrize("coding", ["", " ", "identity", " Identity\t"])
def test_no_coding_is_read(engine: Engine, coding: str) -> None:
    """``identity`` and a blank value say that the body is plain."""
    stream = engine.stream(route(maxTokens=7, usage={"includeUsage": "Keep"}))
    message = stream.request(BODY, [("content-encoding", coding)])
    assert message.body == BODY.replace(b"500", b"7")
    assert message.header(names.MODEL_HEADER) == "m"


def test_an_encoded_form_is_not_read(engine: Engine) -> None:
    """A form is no exception."""
    body = b"--B\r\nContent-Disposition: form-data; name=model\r\n\r\ncheap\r\n--B--"
    stream = engine.stream()
    kind = ("content-type", "multipart/form-data; boundary=B")
    untouched(stream, stream.request(body, [kind, ("content-encoding", "gzip")]), names.UNKNOWN, 16, body)


def test_a_body_over_the_limit_is_not_held(engine: Engine) -> None:
    """It goes on piece by piece as it came, under the path's model or ``unknown``, estimated by its length."""
    stream = engine.stream(route(bodyLimit=len(BODY) - 1, maxTokens=7))
    untouched(stream, stream.request(BODY), names.UNKNOWN, 16)
    stream = engine.stream(route(bodyLimit=len(BODY) - 1, maxTokens=7))
    untouched(stream, stream.request(BODY, path=DEPLOYMENT), "dear", 16)
    stream = engine.stream(route(bodyLimit=0))
    untouched(stream, stream.request(BODY, [("content-encoding", "gzip")]), names.UNKNOWN, 16)


def test_a_body_of_the_limit_is_held(engine: Engine) -> None:
    """The limit itself still fits."""
    stream = engine.stream(route(bodyLimit=len(BODY), maxTokens=7, usage={"includeUsage": "Keep"}))
    message = stream.request(BODY)
    assert message.body == BODY.replace(b"500", b"7")
    assert message.header(names.MODEL_HEADER) == "m"


@pytest.mark.parametrize("limit", [None, "9", -1, True, {}])
def test_the_limit_is_4_mib_by_default(engine: Engine, limit: JSON) -> None:
    """Without a limit, or with nonsense for one."""
    for size, model in ((4194304, "m"), (4194305, names.UNKNOWN)):
        body = b'{"model":"m"}'.ljust(size)
        stream = engine.stream(route(bodyLimit=limit))
        untouched(stream, stream.request(body), model, -(-size // 4), body)


def test_a_length_that_is_none_is_no_reason_not_to_read(engine: Engine) -> None:
    """Without a usable length the proxy's own bound is what holds."""
    for length in ("", "x", "99,99"):
        stream = engine.stream(route(bodyLimit=1))
        message = stream._run(  # noqa: SLF001 - `request` always states the length
            "request", Sent([(":method", "POST"), (":path", "/v1/x"), ("content-length", length)], [BODY])
        )
        assert message.header(names.MODEL_HEADER) == "m"


def test_an_upload_without_tokens_is_not_measured(engine: Engine) -> None:
    """A method that costs nothing costs nothing, whatever its length."""
    stream = engine.stream(route(bodyLimit=1))
    stream.request(BODY, method="GET")
    assert stream.metadata["unmetered"] is True
    assert "prompt_estimate" not in stream.metadata


@pytest.mark.parametrize(
    ("body", "estimate"),
    [
        (b'{"contents":"12345678","generationConfig":{}}', 3),
        (b'{"query":"1234567890","documents":["1"]}', 2),
        (b'{"texts":["123456"],"model":"m"}', 3),
        (b'{"query":"12"}', 1),
        (b'{"messages":[1],"documents":["12345678"]}', 1),
        (b'{"input":"123","contents":"12345678"}', 2),
        (b'{"system":[{"text":"x"}]}', 7),
    ],
)
def test_where_prompts_are(engine: Engine, body: bytes, estimate: int) -> None:
    """The first that is there of messages, prompt, input, contents, documents, texts, query; else all of the body."""
    stream = engine.stream()
    stream.request(body, path="/x")
    assert stream.metadata["prompt_estimate"] == estimate
