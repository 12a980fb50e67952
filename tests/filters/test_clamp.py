"""``admission.maxTokens``: the field of each API is held to it, and no other byte of the body changes."""

from __future__ import annotations

from typing import Final

import pytest

from llmroute.render.lua import JSON
from tests.filters.clamped import CHAT, GEMINI, MESSAGES, sent
from tests.filters.proxy import Engine

# The path, and what a body without any field begins with afterwards.
SET: Final = {
    "/v1/chat/completions": '"max_completion_tokens":100',
    "/openai/deployments/m/chat/completions?api-version=1": '"max_completion_tokens":100',
    "/v1/chat%2Fcompletions": '"max_completion_tokens":100',
    "/v1/completions": '"max_tokens":100',
    "/v1/responses": '"max_output_tokens":100',
    "/anthropic/v1/messages": '"max_tokens":100',
    "/v2/chat": '"max_tokens":100',
    "/v1beta/models/g:generateContent": '"generationConfig":{"maxOutputTokens":100}',
    "/v1beta/models/g:streamGenerateContent?alt=sse": '"generationConfig":{"maxOutputTokens":100}',
    "/model/m/converse": '"inferenceConfig":{"maxTokens":100}',
    "/model/m/converse-stream": '"inferenceConfig":{"maxTokens":100}',
    "/api/chat": '"options":{"num_predict":100}',
    "/api/generate/": '"options":{"num_predict":100}',
}


@pytest.mark.parametrize("path", SET)
def test_the_field_of_the_api_is_set(engine: Engine, path: str) -> None:
    """A body that says nothing gets the field that its API reads, as its first member."""
    assert sent(engine, path, ' { "model" : "m" } ') == " {" + SET[path] + ', "model" : "m" } '
    assert sent(engine, path, "{ }") == "{" + SET[path] + " }"
    assert sent(engine, path, '\ufeff{"x":{"max_tokens":5,"options":1}}') == (
        "\ufeff{" + SET[path] + ',"x":{"max_tokens":5,"options":1}}'
    )


@pytest.mark.parametrize("path", SET)
def test_the_field_of_the_api_is_held(engine: Engine, path: str) -> None:
    """A larger value becomes the limit where it stands, and one that fits stays as it is written."""
    field = SET[path]
    assert sent(engine, path, "{" + field + "}") == "{" + field + "}"
    body = '{"a" :1, ' + field.replace("100", " MAX\n") + ' , "b":[]}'
    assert sent(engine, path, body.replace("MAX", "101")) == body.replace("MAX", "100")


FIELDS: Final = {
    CHAT: ["max_completion_tokens", "max_tokens"],
    "/v1/completions": ["max_tokens"],
    "/v1/responses": ["max_output_tokens"],
    MESSAGES: ["max_tokens"],
    "/v2/chat": ["max_tokens"],
    "/some/thing/else": ["max_tokens", "max_completion_tokens", "max_output_tokens"],
}
VALUES: Final = {
    "0": "0",
    "1": "1",
    "100": "100",
    "1e2": "1e2",
    "99.5": "99.5",
    "100.5": "100",
    "101": "100",
    "1e3": "100",
    "1E400": "100",
    "-1": "100",
    "-0.5": "100",
    "null": "100",
    "true": "100",
    "false": "100",
    '"5"': "100",
    '"x\\"y"': "100",
    "NaN": "100",
    "Infinity": "100",
    "-Infinity": "100",
    "[5]": "100",
    '{"a":[5]}': "100",
}


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("path", FIELDS)
def test_values(engine: Engine, path: str, value: str) -> None:
    """What is no number from 0 to the limit becomes the limit. Where Ollama answers, which takes 0 for no end, 0 too."""
    wanted = "100" if value == "0" and path.endswith("/completions") else VALUES[value]
    for field in FIELDS[path]:
        body = '{"m":[1] , "%s": %s\t,"z":"max_tokens"}'
        assert sent(engine, path, body % (field, value)) == body % (field, wanted)


@pytest.mark.parametrize(
    ("path", "body", "after"),
    [
        (CHAT, '{"max_tokens":500,"max_completion_tokens":7}', '{"max_tokens":100,"max_completion_tokens":7}'),
        (CHAT, '{"max_completion_tokens":500,"max_tokens":500}', '{"max_completion_tokens":100,"max_tokens":100}'),
        (CHAT, '{"max_tokens":500,"max_tokens":5}', '{"max_tokens":500,"max_tokens":5}'),
        (CHAT, '{"max_tokens":5,"max_tokens":500}', '{"max_tokens":5,"max_tokens":100}'),
        (CHAT, '{"max\\u005ftokens":500}', '{"max\\u005ftokens":100}'),
        (CHAT, '{"max_output_tokens":500}', '{"max_completion_tokens":100,"max_output_tokens":500}'),
        (MESSAGES, '{"max_completion_tokens":5}', '{"max_tokens":100,"max_completion_tokens":5}'),
        ("/x", '{"a":1}', '{"a":1}'),
        ("/x?/v1/chat/completions", '{"a":1}', '{"a":1}'),
        ("/v1/chat%252Fcompletions", '{"a":1}', '{"a":1}'),
        ("/x", '{"max_tokens":500,"max_output_tokens":500}', '{"max_tokens":100,"max_output_tokens":100}'),
    ],
)
def test_several_fields(engine: Engine, path: str, body: str, after: str) -> None:
    """Every field that the API knows is held, of repeated ones the last, and another API's does not count."""
    assert sent(engine, path, body) == after


@pytest.mark.parametrize(
    ("path", "body", "after"),
    [
        (GEMINI, '{"generationConfig":{}}', '{"generationConfig":{"maxOutputTokens":100}}'),
        (GEMINI, '{"generationConfig":{ }}', '{"generationConfig":{"maxOutputTokens":100 }}'),
        (GEMINI, '{"generationConfig": {"a":1}}', '{"generationConfig": {"maxOutputTokens":100,"a":1}}'),
        (GEMINI, '{"generationConfig":null}', '{"generationConfig":{"maxOutputTokens":100}}'),
        (GEMINI, '{"generationConfig":"{}" }', '{"generationConfig":{"maxOutputTokens":100} }'),
        (GEMINI, '{"generationConfig":[{}]}', '{"generationConfig":{"maxOutputTokens":100}}'),
        (GEMINI, '{"generation_config":{"maxOutputTokens":500}}', '{"generation_config":{"maxOutputTokens":100}}'),
        (GEMINI, '{"generationConfig":{"max_output_tokens":-1}}', '{"generationConfig":{"max_output_tokens":100}}'),
        (
            GEMINI,
            '{"generation_config":{"max_output_tokens":9,"maxOutputTokens":999},"generationConfig":{"a":{}}}',
            (
                '{"generation_config":{"max_output_tokens":9,"maxOutputTokens":100},'
                '"generationConfig":{"maxOutputTokens":100,"a":{}}}'
            ),
        ),
        (
            GEMINI,
            '{"generationConfig":null,"generation_config":{"maxOutputTokens":5}}',
            '{"generationConfig":{"maxOutputTokens":100},"generation_config":{"maxOutputTokens":5}}',
        ),
        (GEMINI, '{"max_tokens":500}', '{"generationConfig":{"maxOutputTokens":100},"max_tokens":500}'),
        ("/model/m/converse", '{"inferenceConfig":{"maxTokens":"9"}}', '{"inferenceConfig":{"maxTokens":100}}'),
        ("/model/m/converse", '{"inferenceConfig":3}', '{"inferenceConfig":{"maxTokens":100}}'),
        ("/api/chat", '{"options":{"num_predict":-1}}', '{"options":{"num_predict":100}}'),
        ("/api/chat", '{"options":{"num_predict":0}}', '{"options":{"num_predict":100}}'),
        ("/api/chat", '{"options":{"num_predict":1}}', '{"options":{"num_predict":1}}'),
        (
            "/api/generate",
            '{"options":{"num_predict":500},"options":{}}',
            '{"options":{"num_predict":500},"options":{"num_predict":100}}',
        ),
    ],
)
def test_fields_in_an_object(engine: Engine, path: str, body: str, after: str) -> None:
    """In both spellings, in what is an object, and in the place of what should be one and is none."""
    assert sent(engine, path, body) == after


@pytest.mark.parametrize(
    "path",
    [
        "/v1/embeddings",
        "/v2/rerank",
        "/v2/embed",
        "/api/embed",
        "/v1/audio/speech",
        "/v1/audio/transcriptions",
        "/v1/audio/translations",
        "/v1/messages/count_tokens",
        "/v1beta/models/g:countTokens",
        "/v1beta/models/g:embedContent",
        "/v1beta/models/g:batchEmbedContents",
    ],
)
def test_apis_without_the_field(engine: Engine, path: str) -> None:
    """Where no answer is generated nothing is set and nothing is held."""
    body = '{"max_tokens":500,"n":2,"generationConfig":{"maxOutputTokens":500}}'
    assert sent(engine, path, body) == body


@pytest.mark.parametrize("most", [None, "100", True, 0, -5, 0.5, {}])
def test_no_clamp(engine: Engine, most: JSON) -> None:
    """Without a limit, or with nonsense for one, every body stays."""
    assert sent(engine, CHAT, '{"max_tokens":500}', most) == '{"max_tokens":500}'


@pytest.mark.parametrize(("most", "after"), [(1, "1"), (1.9, "1"), (1_000_000_000_000, "1000000000000")])
def test_limits_are_whole_numbers(engine: Engine, most: float, after: str) -> None:
    """Written as an integer, however large."""
    assert sent(engine, CHAT, '{"max_tokens":-1}', most) == f'{{"max_tokens":{after}}}'


@pytest.mark.parametrize(
    "body", ["", "x", "[]", "[{}]", '{"max_tokens":500', '{"max_tokens":500}x', '{"max_tokens":0500}']
)
def test_what_is_no_json_object_stays(engine: Engine, body: str) -> None:
    """Nothing is put into a body that is not read."""
    assert sent(engine, CHAT, body) == body
