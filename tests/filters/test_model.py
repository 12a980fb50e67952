"""The model that a request asks for: top level only, and nothing a client sends can fake it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmroute import names
from tests.filters.proxy import EVERY, Engine, engine_named

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn

HEADER = names.MODEL_HEADER
TALK = json.dumps([{"role": "user", "content": 'say "model":"x" \\ \n' * 8000}])


def model_of(engine: Engine, body: bytes) -> str:
    """The model header that the upstream gets."""
    stream = engine.stream()
    value = stream.request(body).header(HEADER)
    assert stream.logs == []
    assert value == stream.metadata[names.MODEL]
    assert value is not None
    return value


def oracle(body: bytes) -> str:
    """What Python's json reads as the model, if a header can carry it."""
    text = body.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    try:
        document = json.loads(text, strict=False, parse_int=float)
    except ValueError:
        return names.UNKNOWN
    model = document.get("model") if isinstance(document, dict) else None
    if not isinstance(model, str):
        return names.UNKNOWN
    model = model.strip(" \t")
    try:
        size = len(model.encode())
    except UnicodeEncodeError:
        return names.UNKNOWN
    fits = 0 < size <= 256 and not any(ord(c) < 32 or ord(c) == 127 for c in model)
    return model if fits else names.UNKNOWN


@pytest.mark.parametrize(
    ("body", "model"),
    [
        ('{"model":"gpt-4o"}', "gpt-4o"),
        (' {\n\t"model" : "gpt-4o" , "n" : 1 }\r\n', "gpt-4o"),
        ('\ufeff{"model":"gpt-4o"}', "gpt-4o"),
        ('{"model":"a","model":"b"}', "b"),
        ('{"model":"a","model":null}', "unknown"),
        ('{"mod\\u0065l":"a"}', "a"),
        ('{"\\u006d\\u006f\\u0064\\u0065\\u006C":"a"}', "a"),
        ('{"model":"a","mod\\u0065l":"b"}', "b"),
        ('{"model":"a","x":{"model":"b"}}', "a"),
        ('{"x":[{"model":"b"}],"model":"a","y":[[{"model":"c"}]]}', "a"),
        ('{"x":"\\",\\"model\\":\\"b\\"","model":"a"}', "a"),
        ('{"x":"\\\\","model":"a"}', "a"),
        ('{"x":"\\\\\\",","model":"a"}', "a"),
        ('{"model":"gpt\\u002d4\\u00e9\\ud83d\\ude00"}', "gpt-4é😀"),
        ('{"model":"\\uDBFF\\uDFFF\\uD800\\uDC00"}', "\U0010ffff\U00010000"),
        ('{"model":"gpt-4é"}', "gpt-4é"),
        ('{"model":" gpt-4 "}', "gpt-4"),
        ('{"model":"a\\/b"}', "a/b"),
        ('{"messages":' + TALK + ',"model":"late"}', "late"),
        ('{"model":"early","messages":' + TALK + "}", "early"),
        ('{"model":"' + "m" * 256 + '"}', "m" * 256),
        ('{"model":"' + "m" * 257 + '"}', "unknown"),
        ('{"model":"' + "m" * 100_000 + '"}', "unknown"),
        ('{"' + "m" * 100_000 + '":1,"model":"a"}', "a"),
        ('{"a":NaN,"b":[-Infinity,Infinity,-0.5e-3,0,1E9],"model":"a"}', "a"),
        ('{"MODEL":"b","model":"a","Model":"c"}', "a"),
        ('{"x":{"y":[' + "[" * 500 + "]" * 500 + ']},"model":"a"}', "a"),
    ],
)
def test_top_level_model_is_read(engine: Engine, body: str, model: str) -> None:
    """Nested, escaped, repeated, early or late: the header says what a JSON parser would say."""
    assert model_of(engine, body.encode()) == model


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"not json",
        b"[]",
        b'["model","a"]',
        b'"model"',
        b"{}",
        b'{"model"',
        b'{"model":',
        b'{"model":"a"',
        b'{"model":"a',
        b'{"model":"a",}',
        b'{"model":"a"}}',
        b'{"model":"a"} x',
        b'{"model":"a"}{"model":"b"}',
        b'{"model":"a" "b":1}',
        b'{"model":"a","b":01}',
        b'{"model":"a","b":1.}',
        b'{"model":"a","b":tru}',
        b'{"model":"a","b":[1,]}',
        b'{"model":"a","b":[}]}',
        b'{"model":"a","b":{"c"}}',
        b'{"model":"a","b":"\\x"}',
        b'{"model":"a","b":"\\u12g4"}',
        b"{'model':'a'}",
        b'{model:"a"}',
        b'{"model":a}',
        b'{"model":1}',
        b'{"model":true}',
        b'{"model":["a"]}',
        b'{"model":{"model":"a"}}',
        b'{"model":""}',
        b'{"model":"  "}',
        b'{"model":"a\\nb"}',
        b'{"model":"a\\r\\nx-user-id: root"}',
        b'{"model":"a\\u0000"}',
        b'{"model":"a\\u007f"}',
        b'{"model":"a\nb"}',
        b'{"model":"\\ud800"}',
        b'{"model":"\\ude00\\ud83d"}',
        b'{"model":"\\ud83d\\u0041"}',
        b'{"model":"\xff"}',
        b'{"model":"\xc0\xaf"}',
        b'{"model":"\xe0\x80\xaf"}',
        b'{"model":"\xf0\x8f\xbf\xbf"}',
        b'{"model":"\xf5\x80\x80\x80"}',
        b'{"model":"\xed\xa0\x80"}',
        b'{"model":"\xf4\x90\x80\x80"}',
        b'{"model":"\xe2\x82"}',
        b'{"model":"a","x":' + b"[" * 10_001 + b"]" * 10_001 + b"}",
    ],
)
def test_unreadable_model_is_unknown(engine: Engine, body: bytes) -> None:
    """What is no JSON object with a model that a header can carry has the model ``unknown``."""
    assert model_of(engine, body) == names.UNKNOWN


def test_no_body_is_unknown(engine: Engine) -> None:
    """A request without any body has the model ``unknown``."""
    assert engine.stream().request(None).header(HEADER) == names.UNKNOWN


@pytest.mark.parametrize("spoofed", [["free"], ["free", "free2"], [""], ["gpt-4o, free"]])
def test_client_cannot_name_its_model_in_the_header(engine: Engine, spoofed: list[str]) -> None:
    """The client's own model headers are gone, however many; the body's model is the only value."""
    sent = [(HEADER, value) for value in spoofed]
    assert engine.stream().request(b'{"model":"gpt-4o"}', sent).all(HEADER) == ["gpt-4o"]
    assert engine.stream().request(b"junk", sent).all(HEADER) == ["unknown"]
    assert engine.stream().request(None, sent, method="GET").all(HEADER) == ["unknown"]


def test_model_header_is_the_one_of_the_route(engine: Engine) -> None:
    """The route's context says which header carries the model."""
    message = engine.stream({"modelHeader": "x-model"}).request(b'{"model":"a"}')
    assert message.header("x-model") == "a"
    assert message.header(HEADER) is None


_TEXT = st.text(
    st.sampled_from('model"\\/\n\t é😀\x00\x7f{}[]:,') | st.characters(exclude_categories=["Cs"]), max_size=8
)
_KEYS = st.sampled_from(["model", "mod\\u0065l", "Model", "messages", "x\\\\", 'x\\"', "", "\\ud800"])
_BLANK = st.sampled_from(["", "", "", " ", "\n", "\t\r\n "])
_NUMBERS = st.sampled_from(
    ["0", "-1", "1.5e+3", "-0.0", "01", "1.", ".5", "+1", "1e5", "NaN", "Infinity", "-Infinity", "nul"]
)


@st.composite
def _string(draw: DrawFn) -> str:
    text = draw(_TEXT)
    if draw(st.booleans()):
        return json.dumps(text, ensure_ascii=draw(st.booleans()))
    return '"' + draw(st.sampled_from(["\\ud83d\\ude00", "\\ud83d", "\\uDE00x", "\\u00zz", "\\q", "a\\\\", "\n"])) + '"'


@st.composite
def _value(draw: DrawFn, depth: int = 0) -> str:
    kind = draw(st.integers(0, 5 if depth < 3 else 3))
    if kind <= 1:
        return draw(_string())
    if kind <= 3:
        return draw(_NUMBERS | st.sampled_from(["true", "false", "null"]))
    count = draw(st.integers(0, 4))
    if kind == 4:
        return "[" + ",".join(draw(_BLANK) + draw(_value(depth + 1)) + draw(_BLANK) for _ in range(count)) + "]"
    return _join(draw, count, depth)


def _join(draw: DrawFn, count: int, depth: int) -> str:
    members = [
        f'{draw(_BLANK)}"{draw(_KEYS)}"{draw(_BLANK)}:{draw(_BLANK)}{draw(_value(depth + 1))}{draw(_BLANK)}'
        for _ in range(count)
    ]
    return "{" + draw(_BLANK) + ",".join(members) + "}"


@st.composite
def _document(draw: DrawFn) -> bytes:
    body = (draw(_BLANK) + _join(draw, draw(st.integers(0, 5)), 0) + draw(_BLANK)).encode()
    if draw(st.integers(0, 2)) == 0:
        at = draw(st.integers(0, len(body)))
        body = body[:at] + draw(st.binary(max_size=2)) + body[at + draw(st.integers(0, 2)) :]
    return body


@pytest.mark.parametrize("name", EVERY)
def test_model_agrees_with_pythons_json(name: str) -> None:
    """On random documents, whole and damaged, the model is what Python's json reads, else ``unknown``."""
    engine = engine_named(name)

    @settings(max_examples=400, deadline=None, database=None, derandomize=True)
    @given(_document())
    def agree(body: bytes) -> None:
        assert model_of(engine, body) == oracle(body)

    agree()
