"""Who is not let in, or asks for a model that nobody has: the SDK of each API raises what it raises at the real one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import anthropic
import openai
import pytest
from google.genai import errors

from e2e import tokens
from e2e.conftest import Serve
from e2e.sdks import CALLS, Call, Caller
from e2e.stacks import Stack
from e2e.stacks.protocol import engine_of
from llmroute import names
from llmroute.conformance.upstream import Script
from llmroute.targets import WASM
from tests.policies import header, limit, route, rule, text

LIMIT: Final = rule(limit(1_000_000, unit="Day"), headers=[header(names.USER_HEADER, "Distinct")])
MEANT: Final = [
    call for call in CALLS if call.name in {"openai-chat", "openai-chat-stream", "anthropic", "gemini-stream"}
]
OPENAI: Final = {401: openai.AuthenticationError, 403: openai.PermissionDeniedError, 404: openai.NotFoundError}
ANTHROPIC: Final = {
    401: anthropic.AuthenticationError,
    403: anthropic.PermissionDeniedError,
    404: anthropic.NotFoundError,
}
STATUSES: Final = {401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND"}
CODES: Final = {401: "invalid_api_key", 403: "forbidden", 404: "model_not_found"}
TYPES: Final = {401: "authentication_error", 403: "permission_error", 404: "not_found_error"}
SECRET: Final = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "keys", "namespace": "default"},
    "stringData": {"amy": "key-of-amy"},
}


def policy(**spec: Any) -> dict[str, Any]:
    """A limit for every user, and this besides."""
    document = route(LIMIT)
    document["spec"] |= spec
    return document


def by_token(**identity: Any) -> str:
    """Users are the subjects of tokens."""
    return text(policy(identity={"jwt": {"provider": tokens.provider()}} | identity))


@contextmanager
def calling(serve: Serve, document: str, **headers: str) -> Iterator[Caller]:
    """Somebody with these headers instead of a user's."""
    with Caller(serve(document).stack) as caller:
        caller.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        yield caller


@pytest.fixture
def turned_away(serve: Serve, stack: Stack) -> Serve:
    """The same, where the filter sees the answers of filters before it."""
    if engine_of(stack) == WASM:
        pytest.skip("missing capability: a filter that sees what one before it turned away (wasm does not)")
    return serve


def denied(caller: Caller, call: Call, status: int) -> str:
    """The message of the exception, once all in it is what this SDK's users look at; tried once, seen by no upstream."""
    with pytest.raises(Exception, match=str(status)) as raised:
        call.ask(caller)
    error: Any = raised.value
    assert caller.served == [None]
    (answer,) = caller.answers
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    if isinstance(error, errors.APIError):
        assert (type(error), error.code, error.status) == (errors.ClientError, status, STATUSES[status])
        return str(error.message)
    body: Any = error.body
    if isinstance(error, anthropic.APIStatusError):
        assert type(error) is ANTHROPIC[status]
        assert (body["type"], body["error"]["type"]) == ("error", TYPES[status])
        return str(body["error"]["message"])
    assert type(error) is OPENAI[status]
    assert error.code == CODES[status]
    return str(body["message"])


@pytest.mark.parametrize("call", MEANT, ids=lambda call: call.name)
def test_a_bad_token(turned_away: Serve, call: Call) -> None:
    """Envoy's own words, where the SDK looks for them, and what else Envoy says."""
    with calling(turned_away, by_token(), authorization="Bearer nonsense") as caller:
        assert "Jwt is not in the form of" in denied(caller, call, 401)
        assert caller.answers[0].headers["www-authenticate"].startswith("Bearer ")


@pytest.mark.parametrize("call", MEANT, ids=lambda call: call.name)
def test_a_token_for_somebody_else(turned_away: Serve, call: Call) -> None:
    """Envoy's 403."""
    bearer = f"Bearer {tokens.token(sub='amy', aud='somebody-else')}"
    with calling(turned_away, by_token(), authorization=bearer) as caller:
        assert denied(caller, call, 403) == "Audiences in Jwt are not allowed"


@pytest.mark.parametrize("call", MEANT, ids=lambda call: call.name)
def test_no_key(turned_away: Serve, call: Call) -> None:
    """Envoy's 401 for API keys."""
    identity = {"apiKey": {"credentialRefs": [{"name": "keys"}], "extractFrom": [{"headers": ["x-llm-key"]}]}}
    with calling(turned_away, text(policy(identity=identity), SECRET)) as caller:
        assert denied(caller, call, 401) == "Client authentication failed."


@pytest.mark.parametrize("call", MEANT, ids=lambda call: call.name)
def test_nobody(serve: Serve, call: Call) -> None:
    """The 401 of ``onMissing: Reject``, which the filter gives."""
    with calling(serve, text(policy(identity={"onMissing": "Reject"}))) as caller:
        assert "Nobody knows who sends this request" in denied(caller, call, 401)


@pytest.mark.parametrize("call", MEANT, ids=lambda call: call.name)
def test_a_model_that_nobody_has(serve: Serve, call: Call) -> None:
    """The 404 of a route that chooses by model."""
    document = route(LIMIT)
    document["spec"]["backends"][0]["models"] = ["another"]
    with calling(serve, text(document)) as caller:
        assert "does not exist" in denied(caller, call, 404)


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("kind", ["text/plain", "application/json"])
def test_the_upstreams_own_denial_passes(serve: Serve, status: int, kind: str) -> None:
    """Byte for byte, also where the gateway could have denied it itself."""
    client = serve(by_token())
    bearer = {"authorization": f"Bearer {tokens.token(sub='amy')}"}
    answer = client.chat(
        script=Script(status=status, body="Jwt is missing", headers={"content-type": kind}), headers=bearer
    )
    assert answer.served
    assert (answer.status, answer.body, answer.headers["content-type"]) == (status, b"Jwt is missing", kind)
