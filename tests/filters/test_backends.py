"""The model chooses the backend of a request that names none."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from llmroute import names
from llmroute.render.lua import JSON
from tests.filters.proxy import CONTEXT, Engine, Message, Stream

BACKEND: Final = names.BACKEND_HEADER
LISTED: Final[list[JSON]] = [
    {"name": "openai", "models": ["gpt-4o", "gpt-4o-mini"]},
    {"name": "anthropic", "models": ["claude", "gpt-4o"]},
    {"name": "none", "models": []},
]
REST: Final[list[JSON]] = [{"name": "rest", "models": ["*", "odd"]}, *LISTED]


def route(backends: JSON, **more: JSON) -> JSON:
    """The context of a route with these backends."""
    assert isinstance(CONTEXT, dict)
    return {**CONTEXT, "backendHeader": BACKEND, "backends": backends, **more}


def asking(model: Any) -> bytes:
    """A chat with this model."""
    return json.dumps({"model": model, "messages": ["x"]}).encode()


def refused(stream: Stream, message: Message) -> Any:
    """The request went nowhere and costs nothing; gives the body of the 404."""
    assert stream.response is not None
    headers, body = stream.response
    assert headers == {":status": "404", "content-type": "application/json"}
    assert message.chunks == []
    assert stream.logs == []
    assert stream.metadata[names.TOTAL_TOKENS] == 0
    return json.loads(body)


@pytest.mark.parametrize(
    ("model", "backend"),
    [("gpt-4o", "openai"), ("claude", "anthropic"), ("odd", "rest"), ("other", "rest"), ("*", "rest"), (7, "rest")],
)
def test_the_model_chooses(engine: Engine, model: Any, backend: str) -> None:
    """Who names the model, the first of them; else who takes the rest, wherever it stands."""
    stream = engine.stream(route(REST))
    message = stream.request(asking(model))
    assert message.header(BACKEND) == backend
    assert message.body == asking(model)
    assert stream.response is None
    assert stream.logs == []


@pytest.mark.parametrize("sent", [[""], [" \t"], ["", " "], ["\udcff"]])
def test_a_blank_header_names_nobody(engine: Engine, sent: list[str]) -> None:
    """The model chooses then, too."""
    message = engine.stream(route(REST)).request(asking("claude"), [(BACKEND, value) for value in sent])
    assert message.header(BACKEND) == "anthropic"


@pytest.mark.parametrize("sent", [["none"], [" none "], ["none", "openai"], ["", "none"]])
@pytest.mark.parametrize("model", ["claude", "not-there"])
def test_the_client_chooses(engine: Engine, sent: list[str], model: str) -> None:
    """A backend that it names stays, the first of several, whatever the model."""
    stream = engine.stream(route(LISTED))
    message = stream.request(asking(model), [(BACKEND, value) for value in sent])
    assert message.header(BACKEND) == "none"
    assert stream.response is None


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_a_backend_that_is_not_there(engine: Engine, method: str) -> None:
    """It has no model, either, and nobody takes its place."""
    stream = engine.stream(route(REST))
    message = stream.request(asking("gpt-4o"), [(BACKEND, "nobody")], method=method)
    assert refused(stream, message)["error"]["message"] == "The backend `nobody` does not exist."


@pytest.mark.parametrize("model", ["gpt-5", "GPT-4O", "gpt-4", 'a"b\\c', "é", "gpt-4o,claude"])
def test_a_model_that_nobody_has(engine: Engine, model: str) -> None:
    """404 in OpenAI's words, with the model that was asked for."""
    stream = engine.stream(route(LISTED))
    error = refused(stream, stream.request(asking(model)))["error"]
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", None, "model_not_found")
    assert error["message"] == f"The model `{model}` does not exist or you do not have access to it."


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"{", []),
        (b"", []),
        (None, []),
        (b'{"model":""}', []),
        (b'{"messages":[]}', []),
        (asking("gpt-4o"), [("content-encoding", "gzip")]),
        (asking("gpt-4o") + b" " * 100, []),
    ],
)
def test_no_model_to_be_read(engine: Engine, body: bytes | None, headers: list[tuple[str, str]]) -> None:
    """Nobody's, when there is nobody for the rest; the message says what is wrong. With somebody it goes there."""
    stream = engine.stream(route(LISTED, bodyLimit=100))
    message = refused(stream, stream.request(body, headers))["error"]["message"]
    assert message == "No model could be read from the request, and no backend takes such requests."
    stream = engine.stream(route(REST, bodyLimit=100))
    assert stream.request(body, headers).header(BACKEND) == "rest"
    assert stream.response is None


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("/v1/messages", ("error", "not_found_error", None)),
        ("/v1beta/models/g:generateContent", (None, None, "NOT_FOUND")),
        ("/v1/embeddings", (None, "invalid_request_error", None)),
    ],
)
def test_in_the_shape_of_the_api(engine: Engine, path: str, shape: tuple[str | None, ...]) -> None:
    """Each SDK finds its own error."""
    stream = engine.stream(route(LISTED))
    body = refused(stream, stream.request(asking("x"), path=path))
    assert (body.get("type"), body["error"].get("type"), body["error"].get("status")) == shape


def test_the_model_of_a_path_chooses(engine: Engine) -> None:
    """As it does for limits."""
    stream = engine.stream(route(LISTED))
    message = stream.request(asking("gpt-4o"), path="/v1beta/models/claude:generateContent")
    assert message.header(BACKEND) == "anthropic"


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_what_is_not_read_goes_to_the_rest_or_the_first(engine: Engine, method: str) -> None:
    """Such as a list of models; a client may say where it wants it from."""
    assert engine.stream(route(REST)).request(method=method).header(BACKEND) == "rest"
    assert engine.stream(route(LISTED)).request(method=method).header(BACKEND) == "openai"
    named = engine.stream(route(LISTED)).request(method=method, headers=[(BACKEND, "anthropic")])
    assert named.header(BACKEND) == "anthropic"


def test_without_it_the_header_is_the_clients(engine: Engine) -> None:
    """A route whose backends have no models leaves it alone."""
    assert engine.stream().request(asking("m")).header(BACKEND) is None
    assert engine.stream().request(asking("m"), [(BACKEND, " a ")]).header(BACKEND) == " a "


def test_usage_is_still_asked_for(engine: Engine) -> None:
    """What else is done to a request is done."""
    stream = engine.stream(route(LISTED, maxTokens=9))
    message = stream.request(b'{"model":"claude","stream":true,"messages":[],"max_tokens":99}')
    assert message.body == (
        b'{"stream_options":{"include_usage":true},"model":"claude","stream":true,"messages":[],"max_tokens":9}'
    )
    assert message.header(BACKEND) == "anthropic"


@pytest.mark.parametrize("key", ["model", "prompt_estimate"])
def test_after_a_fault_the_model_still_chooses(engine: Engine, key: str) -> None:
    """What fails after the model is known does not lose it."""
    stream = engine.stream(route(LISTED), lambda name, value: name.decode() == key and value != b"unknown")
    assert stream.request(asking("claude")).header(BACKEND) == "anthropic"
    assert stream.metadata["filter_error"] == 1


@pytest.mark.parametrize("backends", [None, "x", [], [None], [{}], [{"name": 1}], [{"name": "a"}]])
def test_nonsense_is_no_fault(engine: Engine, backends: JSON) -> None:
    """Without usable backends nobody has the model."""
    stream = engine.stream(route(backends))
    refused(stream, stream.request(asking("m")))
