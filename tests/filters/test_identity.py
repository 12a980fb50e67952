"""Who does not say who asks is not served, where the route says so."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from llmroute import names
from llmroute.render.lua import JSON
from tests.filters.proxy import CONTEXT, Engine, Message, Stream
from tests.filters.test_metadata import BODY, SPACE, entry

USER: Final = names.USER_HEADER
CLAIM: Final = entry(["jwt", "sub"], "", USER)


def route(**more: JSON) -> JSON:
    """The context of a route that serves nobody without a user."""
    assert isinstance(CONTEXT, dict)
    return {**CONTEXT, "identity": USER, **more}


def refused(stream: Stream, message: Message) -> Any:
    """The request went nowhere and costs nothing; gives the body of the 401."""
    assert stream.response is not None
    headers, body = stream.response
    assert headers == {":status": "401", "content-type": "application/json"}
    assert message.chunks == []
    assert stream.logs == []
    assert stream.metadata[names.TOTAL_TOKENS] == 0
    assert "prompt_estimate" not in stream.metadata, "the body was not waited for"
    return json.loads(body)


@pytest.mark.parametrize("sent", [[], [""], [" \t"], ["", "  "], ["a\udcff"], ["\udcc3"], ["\udced\udca0\udc80"]])
@pytest.mark.parametrize(("method", "path"), [("POST", "/v1/chat/completions"), ("GET", "/v1/models"), ("HEAD", "/")])
def test_nobody_is_refused(engine: Engine, sent: list[str], method: str, path: str) -> None:
    """No header, a blank one, one that no counter can be named after: 401 for every method."""
    stream = engine.stream(route())
    body = BODY if method == "POST" else None
    message = stream.request(body, [(USER, value) for value in sent], method=method, path=path)
    error = refused(stream, message)["error"]
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", None, "invalid_api_key")


@pytest.mark.parametrize("sent", [["bob"], [" bob\t"], ["", "bob", "eve"], ["bob", "eve"], ["\udcff", "bob"]])
@pytest.mark.parametrize("selected", [True, False])
def test_the_first_usable_value_is_the_user(engine: Engine, sent: list[str], selected: bool) -> None:
    """One value goes on, whether a limit selects on the header or not."""
    stream = engine.stream(route() if selected else route(defaults={}))
    message = stream.request(BODY, [(USER, value) for value in sent])
    assert stream.response is None
    assert message.header(USER) == "bob"
    assert message.header(names.MODEL_HEADER) == "m"
    assert message.body == BODY


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("/v1/messages", ("error", "authentication_error", None)),
        ("/anthropic/v1/messages/", ("error", "authentication_error", None)),
        ("/v1/messages/count_tokens", ("error", "authentication_error", None)),
        ("/v1beta/models/g:generateContent", (None, None, "UNAUTHENTICATED")),
        ("/v1beta/models/g:streamGenerateContent?alt=sse", (None, None, "UNAUTHENTICATED")),
        ("/v1/chat/completions", (None, "invalid_request_error", None)),
        ("/v1/threads/t/messages", (None, "invalid_request_error", None)),
        ("/", (None, "invalid_request_error", None)),
    ],
)
def test_in_the_shape_of_the_api(engine: Engine, path: str, shape: tuple[str | None, ...]) -> None:
    """Each SDK finds its own error."""
    stream = engine.stream(route())
    body = refused(stream, stream.request(BODY, path=path))
    assert (body.get("type"), body["error"].get("type"), body["error"].get("status")) == shape


def test_a_token_is_the_only_way(engine: Engine) -> None:
    """With a token's claim as the user, the client's own header is nothing."""
    stream = engine.stream(route(metadata=[CLAIM]))
    refused(stream, stream.request(BODY, [(USER, "alice")]))
    stream = engine.stream(route(metadata=[CLAIM]))
    stream.tell(SPACE, {"jwt": {"sub": "bob"}})
    message = stream.request(BODY, [(USER, "alice")])
    assert stream.response is None
    assert message.header(USER) == "bob"


def test_a_claim_that_names_nobody(engine: Engine) -> None:
    """A token without the claim, or with one that is no name, is no user."""
    for sub in ("", " ", ["a"], None):
        stream = engine.stream(route(metadata=[CLAIM]))
        stream.tell(SPACE, {"jwt": {"sub": sub, "iss": "x"}})
        refused(stream, stream.request(BODY, [(USER, "alice")]))


def test_a_fault_lets_nobody_in(engine: Engine) -> None:
    """When it cannot be found out who asks, it is nobody."""
    broken: JSON = {**CLAIM, "path": 7}
    stream = engine.stream(route(metadata=[broken]))
    message = stream.request(BODY, [(USER, "alice")])
    assert stream.response is not None
    assert stream.response[0][":status"] == "401"
    assert message.chunks == []
    assert stream.metadata["filter_error"] == 1


def test_without_it_everybody_is_served(engine: Engine) -> None:
    """The default: a request without a user is anonymous."""
    nothing: list[JSON] = [None, "", 1, {}]
    for given in nothing:
        stream = engine.stream(route(identity=given))
        assert stream.request(BODY).header(USER) == names.ANONYMOUS
        assert stream.response is None


@pytest.mark.parametrize(
    ("path", "api"),
    [
        ("/v1/chat/completions", "openai"),
        ("/v1/embeddings", "openai"),
        ("/v1/responses", "openai"),
        ("/v1/messages", "anthropic"),
        ("/v1/Messages/", "anthropic"),
        ("/v1/messages/batches", "anthropic"),
        ("/v1/messages?x=/chat/completions", "anthropic"),
        ("/v1/%6Dessages", "anthropic"),
        ("/v1/threads/t/messages", "openai"),
        ("/v1/chat/completions/c/messages", "openai"),
        ("/v1/models/g:generateContent", "gemini"),
        ("/v1beta/models/g:embedContent", "gemini"),
        ("/v1beta/models/g:countTokens", "gemini"),
        ("/v1beta/openai/chat/completions", "openai"),
        ("/v1/fine_tuning/jobs/ft:gpt-4o:org", "openai"),
        ("", "openai"),
    ],
)
def test_the_api_is_told(engine: Engine, path: str, api: str) -> None:
    """The metadata says it, for every answer of the proxy to this request."""
    stream = engine.stream()
    stream.request(BODY, path=path)
    assert stream.metadata["api"] == api
