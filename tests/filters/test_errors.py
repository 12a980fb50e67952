"""What the proxy answers itself, in the shape of the API that was called."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from llmroute.render.lua import JSON
from tests.filters.proxy import CONTEXT, Engine, Headers, Message, Stream
from tests.filters.test_limits import proxy_headers, row, told

MODEL: Final = "gpt-4o"
CHAT: Final = "/v1/chat/completions"
MESSAGES: Final = "/v1/messages"
GEMINI: Final = f"/v1beta/models/{MODEL}:generateContent"
PATHS: Final = {
    "openai": [CHAT, "/v1/completions", "/v1/embeddings", "/v1/responses", "/some/other/path"],
    "anthropic": [MESSAGES],
    "gemini": [GEMINI, f"/v1beta/models/{MODEL}:streamGenerateContent?alt=sse"],
}
USED_UP: Final = proxy_headers("9, 9;w=60", 0, 12)
REFUSED: Final = f"Rate limit reached for {MODEL} on tokens per minute: limit 10, used up. Please try again in 12s."
AWAY: Final = "The rate limit cannot be checked right now. Please try again in 1s."
RETRY: Final = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "12s"}


def asked(engine: Engine, path: str = CHAT, context: JSON = CONTEXT, **more: Any) -> Stream:
    """A stream whose request went through the filter."""
    stream = engine.stream(context)
    stream.request(json.dumps({"model": MODEL, "messages": [], **more}).encode(), path=path)
    return stream


def body(message: Message) -> Any:
    """The body, once it is what its headers say."""
    assert message.header("content-type") == "application/json"
    assert message.header("content-length") == str(len(message.body))
    return json.loads(message.body)


def refusals() -> dict[str, Any]:
    """The body of a refusal, by API."""
    return {
        "openai": {"error": {"message": REFUSED, "type": "tokens", "param": None, "code": "rate_limit_exceeded"}},
        "anthropic": {"type": "error", "error": {"type": "rate_limit_error", "message": REFUSED}},
        "gemini": {"error": {"code": 429, "message": REFUSED, "status": "RESOURCE_EXHAUSTED", "details": [RETRY]}},
    }


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(("api", "path"), [(api, path) for api, paths in PATHS.items() for path in paths])
def test_a_refusal_has_the_shape_of_its_api(engine: Engine, api: str, path: str, streamed: bool) -> None:
    """The same headers for all, and each API's own body: plain JSON, for a stream as well."""
    message = asked(engine, path, stream=streamed).answer(None, [(":status", "429"), *USED_UP])
    assert body(message) == refusals()[api]
    assert told(message) == row("tokens", 10, 0, 12)
    assert message.header("retry-after") == "12"
    assert message.header("retry-after-ms") == "12000"


def test_a_refusal_says_which_tokens(engine: Engine) -> None:
    """A limit of prompt tokens is called so; the type stays that of the headers."""
    limits: list[JSON] = [
        {"reported": 9, "window": 60, "kind": "tokens", "quantity": 10, "unit": "minute", "what": "prompt tokens"}
    ]
    message = asked(engine, context={"limits": limits}).answer(None, [(":status", "429"), *USED_UP])
    error = body(message)["error"]
    assert error["message"] == REFUSED.replace("on tokens", "on prompt tokens")
    assert error["type"] == "tokens"


@pytest.mark.parametrize("status", [500, 503])
@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (CHAT, {"error": {"message": AWAY, "type": "server_error", "param": None, "code": "service_unavailable"}}),
        (MESSAGES, {"type": "error", "error": {"type": "api_error", "message": AWAY}}),
        (GEMINI, {"error": {"code": 0, "message": AWAY, "status": "UNAVAILABLE"}}),
    ],
)
def test_the_service_is_away(engine: Engine, status: int, path: str, expected: Any) -> None:
    """Envoy's bare 500 or 503 gets the API's body and says to come back; it keeps its status and costs nothing."""
    stream = asked(engine, path)
    message = stream.answer(None, [(":status", str(status))])
    if path == GEMINI:
        expected = {"error": {**expected["error"], "code": status}}
    assert message.header(":status") == str(status)
    assert body(message) == expected
    assert message.header("retry-after") == "1"
    assert told(message) == {}
    assert stream.metadata["total_tokens"] == 0
    assert stream.metadata["usage_source"] == "none"


@pytest.mark.parametrize(
    ("headers", "content"),
    [
        ([("content-type", "application/json"), ("content-length", "4")], [b"mine"]),
        ([("content-length", "0")], None),
        ([("date", "now")], None),
        ([("content-type", "text/plain")], [b"no healthy upstream"]),
        ([], [b"mi", b"ne"]),
        (proxy_headers("9, 9;w=60", 3, 12), None),
    ],
)
@pytest.mark.parametrize("status", ["500", "503"])
def test_an_upstreams_error_passes(engine: Engine, status: str, headers: Headers, content: list[bytes] | None) -> None:
    """An error that has what a server's answer has, or whose request the service admitted, is not the service's."""
    message = asked(engine).answer(content, [(":status", status), *headers])
    assert message.body == b"".join(content or [])
    assert message.header("retry-after") is None


@pytest.mark.parametrize("context", [None, {}, {"limits": []}])
def test_without_limits_nobody_asks_the_service(engine: Engine, context: JSON) -> None:
    """A bare error of a route that has no limits is the upstream's."""
    message = asked(engine, context=context).answer(None, [(":status", "503")])
    assert message.headers == [(":status", "503")]
    assert message.body == b""


DENIED: Final[Headers] = [("content-type", "text/plain"), ("content-length", "14"), ("www-authenticate", "Bearer")]


@pytest.mark.parametrize(
    ("status", "kind", "code", "gemini"),
    [
        ("401", "authentication_error", "invalid_api_key", "UNAUTHENTICATED"),
        ("403", "permission_error", "forbidden", "PERMISSION_DENIED"),
    ],
)
def test_turned_away_before_the_filter(holding_engine: Engine, status: str, kind: str, code: str, gemini: str) -> None:
    """An authentication filter's answer says it where the clients of each API look: nobody knows which it was."""
    message = holding_engine.stream().answer([b"Jwt is missing"], [(":status", status), *DENIED])
    assert message.header(":status") == status
    assert message.header("www-authenticate") == "Bearer"
    assert body(message) == {
        "type": "error",
        "error": {"type": kind, "message": "Jwt is missing", "param": None, "code": code, "status": gemini},
    }


@pytest.mark.parametrize("said", [[b""], [b"caf\xc3\xa9"], [b"two\nlines"], None])
def test_turned_away_without_a_word(holding_engine: Engine, said: list[bytes] | None) -> None:
    """What is no plain line of text, or nothing, gives way to words of ours."""
    message = holding_engine.stream().answer(said, [(":status", "401")])
    assert body(message)["error"]["message"] == "The request was turned away."


@pytest.mark.parametrize("status", ["401", "403"])
@pytest.mark.parametrize("kind", ["text/plain", "application/json"])
def test_an_upstreams_401_passes(engine: Engine, status: str, kind: str) -> None:
    """The filter saw the request go: whoever turned it away, it was not the proxy."""
    own = [(":status", status), ("content-type", kind), ("content-length", "3")]
    message = asked(engine).answer([b"no!"], own)
    assert message.headers == own
    assert message.body == b"no!"


@pytest.mark.parametrize(
    ("status", "kind"), [("401", "application/json"), ("413", "text/plain"), ("200", "text/plain")]
)
def test_other_answers_before_the_filter_pass(engine: Engine, status: str, kind: str) -> None:
    """An authorization service's own body stays, and so does what is no denial."""
    own = [(":status", status), ("content-type", kind), ("content-length", "3")]
    message = engine.stream().answer([b"no!"], own)
    assert message.headers == own
    assert message.body == b"no!"
