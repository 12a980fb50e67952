"""The clamp beside what else is done to a request: counts of answers that share it, and forced usage."""

from __future__ import annotations

import json

import pytest

from tests.filters.clamped import CHAT, GEMINI, MESSAGES, context, sent
from tests.filters.proxy import Engine


@pytest.mark.parametrize(
    ("path", "body", "most"),
    [
        (CHAT, '{"n":1,"max_tokens":999}', 100),
        (CHAT, '{"n":3,"max_tokens":999}', 33),
        (CHAT, '{"max_tokens":999,"n":3.0}', 33),
        (CHAT, '{"n":2.5,"max_tokens":999}', 33),
        (CHAT, '{"n":"3","max_tokens":999}', 33),
        (CHAT, '{"n":101,"max_tokens":999}', 1),
        (CHAT, '{"n":1e400,"max_tokens":999}', 1),
        (CHAT, '{"n":Infinity,"max_tokens":999}', 1),
        (CHAT, '{"n":NaN,"max_tokens":999}', 100),
        (CHAT, '{"n":0,"max_tokens":999}', 100),
        (CHAT, '{"n":-4,"max_tokens":999}', 100),
        (CHAT, '{"n":null,"max_tokens":999}', 100),
        (CHAT, '{"n":true,"max_tokens":999}', 100),
        (CHAT, '{"n":5,"n":2,"max_tokens":999}', 50),
        (CHAT, '{"n":2,"best_of":5,"max_tokens":999}', 50),
        (CHAT, '{"n":2,"max_tokens":999}', 50),
        ("/v1/completions", '{"n":2,"best_of":5,"max_tokens":999}', 20),
        ("/v1/completions", '{"n":5,"best_of":2,"max_tokens":999}', 20),
        ("/v1/completions", '{"best_of":4,"max_tokens":999}', 25),
        ("/x", '{"n":4,"max_tokens":999}', 25),
        ("/v1/completions", '{"prompt":["a","b"],"max_tokens":999}', 50),
        ("/v1/completions", '{"max_tokens":999,"n":5,"prompt" : [ "a\\",\\"" , "b" ]}', 10),
        ("/v1/completions", '{"prompt":[[1,2],[3,4,5],[]],"max_tokens":999}', 33),
        ("/v1/completions", '{"prompt":[1,2,3],"max_tokens":999}', 100),
        ("/v1/completions", '{"prompt":[1,"b",{"c":["d"]}],"max_tokens":999}', 50),
        ("/v1/completions", '{"prompt":[],"max_tokens":999}', 100),
        ("/v1/completions", '{"prompt":"a","max_tokens":999}', 100),
        ("/v1/completions", '{"prompt":["a","b"],"prompt":["c"],"max_tokens":999}', 100),
        ("/x", '{"prompt":["a","b"],"max_tokens":999}', 50),
        (CHAT, '{"prompt":["a","b"],"max_tokens":999}', 100),
        (MESSAGES, '{"n":4,"max_tokens":999}', 100),
        (GEMINI, '{"generationConfig":{"candidateCount":4,"maxOutputTokens":999}}', 25),
        (GEMINI, '{"generationConfig":{"candidate_count":"4","candidateCount":2,"maxOutputTokens":999}}', 25),
        (GEMINI, '{"candidateCount":4,"generationConfig":{"maxOutputTokens":999}}', 100),
    ],
)
def test_several_answers_share_the_limit(engine: Engine, path: str, body: str, most: int) -> None:
    """``n`` answers cost n times as much, and so do n prompts: each may have its share, and never less than one token."""
    assert sent(engine, path, body) == body.replace("999", str(most))


def test_a_share_is_set(engine: Engine) -> None:
    """A field that is set holds the share, too."""
    assert sent(engine, CHAT, '{"n":3}') == '{"max_completion_tokens":33,"n":3}'
    assert sent(engine, GEMINI, '{"generationConfig":{"candidateCount":3}}') == (
        '{"generationConfig":{"maxOutputTokens":33,"candidateCount":3}}'
    )
    assert sent(engine, GEMINI, '{"generation_config":{"candidate_count":4},"generationConfig":{}}') == (
        '{"generation_config":{"maxOutputTokens":25,"candidate_count":4},"generationConfig":{"maxOutputTokens":25}}'
    )


@pytest.mark.parametrize(
    ("body", "after"),
    [
        (
            '{"stream":true,"messages":[]}',
            '{"stream_options":{"include_usage":true},"max_completion_tokens":100,"stream":true,"messages":[]}',
        ),
        (
            '{"max_tokens":500,"stream_options":{"include_usage":false},"n":2,"stream":true,"messages":[]}',
            '{"max_tokens":50,"stream_options":{"include_usage":true},"n":2,"stream":true,"messages":[]}',
        ),
        (
            '{"stream_options":null,"messages":[],"max_tokens":1e9,"stream":true,"max_completion_tokens":null}',
            (
                '{"stream_options":{"include_usage":true},"messages":[],"max_tokens":100,"stream":true,'
                '"max_completion_tokens":100}'
            ),
        ),
    ],
)
def test_forced_usage_and_a_clamp_in_one_body(engine: Engine, body: str, after: str) -> None:
    """Both changes are made, each where it belongs, and the length is that of the result."""
    stream = engine.stream(context())
    message = stream.request(body.encode())
    assert message.body.decode() == after
    assert message.header("content-length") == str(len(after))
    assert stream.metadata["forced_usage"] is True
    assert json.loads(after)["stream_options"] == {"include_usage": True}
