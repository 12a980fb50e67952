"""The model that stands in the path, and the API that the path tells: decoded once, whatever the client writes."""

from __future__ import annotations

import time

import pytest

from llmroute import names
from tests.filters.proxy import Engine

CHEAP = b'{"model":"cheap","messages":[]}'
CONVERSE = "/model/anthropic.claude-3-5-sonnet-20241022-v2%3A0/converse"


def model_of(engine: Engine, path: str, body: bytes | None = CHEAP) -> str:
    """The model header that the upstream gets; nothing else of the request has changed."""
    stream = engine.stream()
    message = stream.request(body, path=path)
    assert message.body == (body or b"")
    assert message.header(":path") == path
    assert stream.logs == []
    value = message.header(names.MODEL_HEADER)
    assert value == stream.metadata[names.MODEL]
    assert value is not None
    return value


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21", "gpt-4o"),
        ("/pre/fix/openai/deployments/gpt-4o/embeddings", "gpt-4o"),
        ("/openai/deployments/gpt%2D4o/chat/completions", "gpt-4o"),
        ("/openai/deployments/team%2Fgpt/chat/completions", "team/gpt"),
        ("/openai/%64eployments/gpt-4o/chat/completions", "gpt-4o"),
        ("/OpenAI/Deployments/GPT-4o/chat/completions", "GPT-4o"),
        ("/openai%2Fdeployments%2Fgpt-4o%2Fchat%2Fcompletions", "gpt-4o"),
        ("//openai//deployments//gpt-4o//chat/completions", "gpt-4o"),
        ("/v1beta/models/gemini-2.0-flash:generateContent", "gemini-2.0-flash"),
        ("/v1beta/models/gemini-2.0-flash:streamGenerateContent?alt=sse", "gemini-2.0-flash"),
        ("/v1beta/models/gemini-2.0-flash%3AgenerateContent", "gemini-2.0-flash"),
        ("/v1beta/models/a:b:generateContent", "a:b"),
        ("/v1beta/models/a:generateContent/", "a"),
        ("/v1beta/tunedModels/mine-1:generateContent", "mine-1"),
        ("/v1/projects/p/locations/l/publishers/google/models/g:predict#x", "g"),
        ("/v1beta%2Fmodels%2Fgemini-pro:generateContent", "gemini-pro"),
        (CONVERSE, "anthropic.claude-3-5-sonnet-20241022-v2:0"),
        ("/model/amazon.nova-lite-v1:0/converse-stream", "amazon.nova-lite-v1:0"),
        ("/model/m/invoke", "m"),
        ("/x/model/m/converse/", "m"),
        (
            "/model/arn%3Aaws%3Abedrock%3Aeu%3A1%3Ainference-profile%2Feu.m/converse",
            "arn:aws:bedrock:eu:1:inference-profile/eu.m",
        ),
        ("/model/m%252Fn/converse", "m%2Fn"),
        ("/model/m%zz/converse", "m%zz"),
        ("/model/m%/converse", "m%"),
        ("/model/g%C3%A9/converse", "gé"),
        ("/model/%20m%20/converse", "m"),
        ("/model/" + "m" * 256 + "/converse", "m" * 256),
        ("/model/cheap/x/openai/deployments/dear/chat/completions", "dear"),
        ("/openai/deployments/cheap/openai/deployments/dear/chat/completions", "dear"),
        ("/openai/deployments/cheap/v1beta/models/dear:generateContent", "dear"),
    ],
)
def test_the_path_names_the_model(engine: Engine, path: str, model: str) -> None:
    """A model in the path is the model, decoded once; a cheap one in the body or in a prefix fools nobody."""
    assert model_of(engine, path) == model
    assert model_of(engine, path, b"no json") == model
    assert model_of(engine, path, None) == model


@pytest.mark.parametrize(
    "path",
    [
        "/model/%00m/converse",
        "/model/m%0D%0Ax-user-id:%20root/converse",
        "/model/m%01n/converse",
        "/model/m%02n/converse",
        "/model/%FF/converse",
        "/model/%20/converse",
        "/model/" + "m" * 257 + "/converse",
    ],
)
def test_a_model_that_no_header_can_carry_is_unknown(engine: Engine, path: str) -> None:
    """The upstream goes by the path, so the body's model does not step in for one that cannot be carried."""
    assert model_of(engine, path) == names.UNKNOWN


@pytest.mark.parametrize(
    "path",
    [
        "/v1/chat/completions",
        "/v1/chat/completions?x=/openai/deployments/dear/",
        "/v1/chat/completions?/models/dear:generateContent",
        "/v1/chat/completions#/model/dear/converse",
        "/v1/models/dear:generate-content",
        "/v1/models/dear:x1",
        "/v1/models/dear",
        "/v1/models/dear:x/y",
        "/v1/xmodels/dear:generateContent",
        "/xmodel/dear/converse",
        "/model/dear",
        "/model/dear/converse/x",
        "/openai/deployments/dear",
        "/deployments/dear/chat/completions",
        "/v1%252Fmodels%252Fdear:generateContent",
        "/",
        "",
    ],
)
def test_other_paths_name_none(engine: Engine, path: str) -> None:
    """What is no path of such an API, or is none before the query, leaves the model to the body."""
    assert model_of(engine, path) == "cheap"
    assert model_of(engine, path, b"no json") == names.UNKNOWN


@pytest.mark.parametrize(
    "path",
    [
        "/v1/chat%2Fcompletions",
        "/v1/chat%2fcompletions",
        "/v1/chat/%63ompletions",
        "/v1/chat/completions/",
        "/v1/chat/completions//",
        "/v1/chat/completions%2F?a=b",
        "/v1/Chat/Completions",
        "/openai/deployments/m/chat/completions?api-version=1",
    ],
)
def test_usage_is_forced_however_the_path_is_written(engine: Engine, path: str) -> None:
    """A path that an upstream decodes to `…/completions` gets usage forced like the plain one."""
    stream = engine.stream()
    message = stream.request(b'{"stream":true,"messages":[]}', path=path)
    assert message.body == b'{"stream_options":{"include_usage":true},"stream":true,"messages":[]}'
    assert stream.metadata["forced_usage"] is True


@pytest.mark.parametrize("path", ["/v1/chat%252Fcompletions", "/v1/chat%2Fcompletions%3Fx", "/v1/completionsx"])
def test_usage_is_not_forced_by_what_only_looks_like_it(engine: Engine, path: str) -> None:
    """Decoded once and not twice; an encoded question mark begins no query."""
    body = b'{"stream":true,"messages":[]}'
    assert engine.stream().request(body, path=path).body == body


@pytest.mark.parametrize(
    ("path", "unestimated"),
    [
        ("/v1beta/models/g:countTokens", True),
        ("/v1beta/models/g%3AcountTokens?x", True),
        ("/v1/messages/count_tokens", True),
        ("/v1/messages%2Fcount%5Ftokens/", True),
        ("/v1/messages", None),
        ("/v1/count_tokens", None),
        ("/v1/messages?x=/messages/count_tokens", None),
        ("/v1/messages/count_tokens/x", None),
        ("/v1/messages/count%255Ftokens", None),
    ],
)
def test_token_counts_are_not_estimated(engine: Engine, path: str, unestimated: bool | None) -> None:
    """A path that only counts tokens says so to the answer, and no other does."""
    stream = engine.stream()
    stream.request(CHEAP, path=path)
    assert stream.metadata.get("unestimated") is unestimated


@pytest.mark.parametrize(
    ("piece", "model"),
    [
        ("/models/a:", "cheap"),
        ("%2F", "cheap"),
        (":a", "cheap"),
        ("/model/a", "cheap"),
        ("/openai/deployments/", "openai"),
        ("%", "cheap"),
        ("/", "cheap"),
    ],
)
def test_a_long_path_takes_linear_time(engine: Engine, piece: str, model: str) -> None:
    """Eight times the path takes nowhere near 64 times the time, whatever is in it."""

    def seconds(size: int) -> float:
        path = "/models/" + piece * (size // len(piece)) + "1"
        stream = engine.stream()
        before = time.process_time()
        message = stream.request(CHEAP, path=path)
        spent = time.process_time() - before
        assert message.header(names.MODEL_HEADER) == model
        return spent

    small = min(seconds(8192) for _ in range(3))
    large = min(seconds(65536) for _ in range(3))
    assert large < 24 * max(small, 0.001)
