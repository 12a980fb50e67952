"""What the filter does to a request besides reading its model."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from llmroute import names
from llmroute.render.lua import JSON
from tests.filters.proxy import Engine

SOURCES = Path(__file__).parents[2] / "filters" / "lua" / "src"
ANY = b'{"model":"m","messages":["hi"]}'
FORCED = ("stream_options", {"include_usage": True})


def test_metadata_is_defaulted(engine: Engine) -> None:
    """Before anything else the metadata says: nothing to charge."""
    stream = engine.stream()
    stream.request(None, method="GET")
    assert stream.metadata == {
        names.TOTAL_TOKENS: 0,
        names.PROMPT_TOKENS: 0,
        names.COMPLETION_TOKENS: 0,
        names.CACHED_TOKENS: 0,
        names.CACHE_WRITE_TOKENS: 0,
        names.REASONING_TOKENS: 0,
        names.NO_COST: 0,
        names.MODEL: names.UNKNOWN,
        names.USAGE_SOURCE: "none",
        "api": "openai",
        "unmetered": True,
    }


@pytest.mark.parametrize(
    ("sent", "value"),
    [
        ([], "anonymous"),
        ([""], "anonymous"),
        ([" \t "], "anonymous"),
        (["", "  "], "anonymous"),
        (["bob"], "bob"),
        ([" bob\t"], "bob"),
        (["", " bob ", "eve"], "bob"),
        (["bob", "eve"], "bob"),
        (["bob", "bob"], "bob"),
        (["\udcff"], "anonymous"),
        (["b\udcffb", "eve"], "eve"),
        (["zoë"], "zoë"),
    ],
)
def test_selected_header_has_one_value(engine: Engine, sent: list[str], value: str) -> None:
    """A header that limits select on is never missing, blank, doubled, or bytes that break the limiter."""
    message = engine.stream().request(ANY, [(names.USER_HEADER, one) for one in sent])
    assert message.all(names.USER_HEADER) == [value]
    assert message.all("x-org") == ["unknown"]


def test_other_headers_are_left_alone(engine: Engine) -> None:
    """Only what the route names is touched, and ``accept-encoding``, so that answers come plain."""
    message = engine.stream().request(ANY, [("x-a", "1"), ("x-a", " "), ("accept-encoding", "gzip")])
    assert message.all("x-a") == ["1", " "]
    assert message.all("accept-encoding") == []


def test_unchanged_header_is_not_set_again(engine: Engine) -> None:
    """A header that is fine stays where it is: setting one makes Envoy choose the route again."""
    message = engine.stream().request(ANY, [(names.USER_HEADER, "bob"), ("x-last", "1")])
    order = [name for name, _ in message.headers]
    assert order.index(names.USER_HEADER) < order.index("x-last")


@pytest.mark.parametrize(
    "context", [None, {}, {"defaults": "x", "limits": 3, "modelHeader": 1}, {"defaults": {"x": 1}}]
)
def test_odd_context_means_the_defaults(engine: Engine, context: JSON) -> None:
    """No context, an empty one and nonsense in it: the model is still set."""
    stream = engine.stream(context)
    assert stream.request(ANY).header(names.MODEL_HEADER) == "m"
    stream.answer([b"{}"], [(":status", "200"), ("x-ratelimit-limit", "9, 9;w=60")])
    assert stream.logs == []


@pytest.mark.parametrize(
    ("body", "estimate"),
    [
        (b'{"messages":["12345"]}', 3),
        (b'{"messages":[1],"messages":["1234567890"]}', 4),
        (b'{"prompt":"123"}', 2),
        (b'{"input":"1234"}', 2),
        (b'{"prompt":"123","messages":[1]}', 1),
        (b'{"x":12345}', 3),
        (b"123456789", 3),
        (b"", 0),
    ],
)
def test_prompt_estimate(engine: Engine, body: bytes, estimate: int) -> None:
    """A quarter of the bytes of the messages, the prompt or the input as they stand in the body, else of all of it."""
    stream = engine.stream()
    stream.request(body)
    assert stream.metadata["prompt_estimate"] == estimate


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions", "/openai/x/chat/completions?a=/b"])
@pytest.mark.parametrize("extra", [b'"messages":[1]', b'"prompt":"p"'])
def test_usage_is_forced_in_streams(engine: Engine, path: str, extra: bytes) -> None:
    """A stream that did not ask for usage gets asked for it, and the answer will know."""
    stream = engine.stream()
    body = b' { "stream" : true, ' + extra + b"}"
    message = stream.request(body, path=path)
    assert message.body == b' {"stream_options":{"include_usage":true}, "stream" : true, ' + extra + b"}"
    assert message.header("content-length") == str(len(message.body))
    assert stream.metadata["forced_usage"] is True


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ("null", '{"include_usage":true}'),
        ("{}", '{"include_usage":true}'),
        ("{ }", '{"include_usage":true }'),
        ('{ "a":1}', '{"include_usage":true, "a":1}'),
        ('{"include_usage":false}', '{"include_usage":true}'),
        ('{"a" : [1], "include_usage" :  null , "b":2}', '{"a" : [1], "include_usage" :  true , "b":2}'),
        ('{"include_usage":true,"include_usage":false}', '{"include_usage":true,"include_usage":true}'),
        ('{"a":{"include_usage":true}}', '{"include_usage":true,"a":{"include_usage":true}}'),
        ('{"include\\u005fusage":false}', '{"include\\u005fusage":true}'),
    ],
)
def test_forcing_changes_nothing_else(engine: Engine, options: str, sent: str) -> None:
    """``stream_options`` is completed where it stands; every other byte stays."""
    body = '{"a" :1.0, "stream":true,"stream_options": %s ,"messages":[1]}'
    stream = engine.stream()
    message = stream.request((body % options).encode())
    assert message.body.decode() == body % sent
    assert json.loads(message.body)["stream_options"]["include_usage"] is True


def test_last_stream_options_count(engine: Engine) -> None:
    """Of repeated ``stream_options`` the last is completed, as the last is what the upstream reads."""
    body = b'{"stream":true,"messages":[],"stream_options":{"include_usage":true},"stream_options":{}}'
    sent = json.loads(engine.stream().request(body).body)
    assert sent["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize(
    "body",
    [
        b'{"stream":true,"messages":[],"stream_options":{"include_usage":true}}',
        b'{"stream":true,"messages":[],"stream_options":{"include_usage":false,"include_usage":true}}',
        b'{"stream":true,"messages":[],"stream_options":{"include_usage":1}}',
        b'{"stream":true,"messages":[],"stream_options":[]}',
        b'{"stream":true,"messages":[],"stream_options":"x"}',
        b'{"stream":true}',
        b'{"stream":false,"messages":[]}',
        b'{"stream":true,"messages":[],"stream":false}',
        b'{"stream":"true","messages":[]}',
        b'{"stream":1,"messages":[]}',
        b'{"x":{"stream":true,"messages":[]}}',
        b'{"messages":[]}',
        b'{"stream":true,"messages":[]',
    ],
)
def test_no_forcing_without_need(engine: Engine, body: bytes) -> None:
    """A client that asked itself, does not stream, or sends what no API takes: the body stays as it is."""
    stream = engine.stream()
    assert stream.request(body).body == body
    assert "forced_usage" not in stream.metadata


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/responses", "/v1/chat/completions/x", "/x?/chat/completions"])
def test_no_forcing_for_other_apis(engine: Engine, path: str) -> None:
    """Only the two OpenAI APIs that know ``stream_options`` get them."""
    body = b'{"stream":true,"messages":[]}'
    assert engine.stream().request(body, path=path).body == body


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_methods_without_tokens(engine: Engine, method: str) -> None:
    """GET, HEAD and OPTIONS cost nothing, whatever the answer says."""
    stream = engine.stream()
    stream.request(None, method=method)
    stream.answer([b'{"usage":{"total_tokens":5}}'])
    assert stream.metadata[names.TOTAL_TOKENS] == 0
    assert stream.metadata[names.USAGE_SOURCE] == "none"


def test_names_agree_with_the_compiler(engine: Engine) -> None:
    """The names that the filter carries itself are those of ``names.py``, and nothing but known keys is written."""
    source = "".join(path.read_text(encoding="utf-8") for path in SOURCES.glob("*.lua"))
    assert f'"{names.MODEL_HEADER}"' in source
    assert f'NAMESPACE = "{names.METADATA_NAMESPACE}"' in source
    assert f"MAX_CHARGE = {names.MAX_CHARGE}" in source
    assert f"MAX_MODEL = {names.MAX_MODEL_BYTES}" in source
    assert f'PREPAID = "{names.PREPAID}"' in source
    stream = engine.stream()
    stream.request(b'{"model":"m","stream":true,"messages":[]}')
    stream.answer([b'{"usage":{"total_tokens":5}}'])
    ours = {names.TOTAL_TOKENS, names.PROMPT_TOKENS, names.COMPLETION_TOKENS, names.CACHED_TOKENS}
    ours |= {names.CACHE_WRITE_TOKENS, names.REASONING_TOKENS, names.NO_COST, names.MODEL, names.USAGE_SOURCE}
    assert set(stream.metadata) == ours | {"api", "prompt_estimate", "forced_usage"}
    written = set(
        re.findall(r'(?:set\(NAMESPACE, |put\(self, out, |set\(handle, |meter\.set, handle, )"(\w+)"', source)
    )
    internal = {"api", "prompt_estimate", "forced_usage", "unmetered", "unestimated", "filter_error"}
    internal |= {"told_of", "told_left", "told_reset"}
    assert written == ours | internal
