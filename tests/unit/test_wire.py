"""The fixtures of the wire formats: their loader is strict, and their bodies are what servers write."""

from __future__ import annotations

import json
import struct
import zlib

import pytest

from llmroute.conformance.wire import WireError, load, messages, parse

FILE = """\
about: x
path: /v1/x
model: m
request: {{model: m}}
fixtures:
  - id: one
    title: One
    answer: {answer}
    expect: {{prompt: 1, completion: 2, total: 3}}
"""


def written(answer: str) -> bytes:
    """The body of an answer, as its file says it."""
    return parse(FILE.format(answer=answer), "x.yaml")[0].answer


def test_every_fixture_can_be_read() -> None:
    """They have ids of their own, and a title that no other of the API has."""
    fixtures = load()
    assert len({fixture.id for fixture in fixtures}) == len(fixtures) >= 100
    assert len({(fixture.api, fixture.title) for fixture in fixtures}) == len(fixtures)


def test_defaults_and_numbers() -> None:
    """What a fixture leaves out, its file says; what nobody says of numbers is 0, and reported."""
    fixture = parse(FILE.format(answer="{json: {a: é}}"), "x.yaml")[0]
    assert (fixture.api, fixture.path, fixture.model, fixture.request) == ("x", "/v1/x", "m", b'{"model":"m"}')
    assert fixture.headers == (("content-type", "application/json"),)
    assert (fixture.numbers.total, fixture.numbers.cached, fixture.numbers.source) == (3, 0, "reported")
    assert fixture.client == fixture.answer == '{"a":"é"}'.encode()
    assert not fixture.forced


def test_a_client_that_asks_sees_the_answer() -> None:
    """The request says so, and nothing is hidden."""
    fixture = next(fixture for fixture in load() if fixture.forced)
    asked = fixture.asked()
    assert json.loads(asked.request)["stream_options"] == {"include_usage": True}
    assert (asked.client, asked.forced) == (fixture.answer, False)


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        ("{json: {a: [1]}, indent: 1}", b'{\n "a": [\n  1\n ]\n}'),
        ("{text: 'a'}", b"a"),
        ("{base64: 'AP8='}", b"\x00\xff"),
        ("{events: [{a: 1}, '[DONE]']}", b'data: {"a":1}\n\ndata: [DONE]\n\n'),
        ("{events: [{event: e, data: x}], end: crlf}", b"event: e\r\ndata: x\r\n\r\n"),
        ('{events: ["a\\nb"], space: false, end: cr}', b"data:a\rdata:b\r\r"),
        ("{events: ['x'], bom: true, open: 1}", b"\xef\xbb\xbfdata: x\n"),
        ("{events: ['x'], open: 2}", b"data: x"),
        ('{events: [raw: ": c\\n\\n"]}', b": c\n\n"),
        ("{lines: [{a: 1}, {b: 2}]}", b'{"a":1}\n{"b":2}\n'),
        ("{array: [{a: 1}, {}]}", b'[{\n  "a": 1\n}\n,\r\n{}\n]'),
    ],
)
def test_bodies(answer: str, body: bytes) -> None:
    """Each kind and option, to the byte."""
    assert written(answer) == body


def test_types_go_with_kinds() -> None:
    """An event stream says that it is one, unless the file says another type."""
    types = [
        parse(FILE.format(answer=answer), "x.yaml")[0].content_type
        for answer in ("{events: []}", "{lines: []}", "{messages: []}", "{json: 1}", "{json: 1, type: text/plain}")
    ]
    assert types == [
        "text/event-stream; charset=utf-8",
        "application/x-ndjson",
        "application/vnd.amazon.eventstream",
        "application/json",
        "text/plain",
    ]


def test_a_message_as_aws_writes_it() -> None:
    """An empty message is 16 bytes whose two checksums are known: those of the AWS test vectors."""
    assert messages.encode({}, b"").hex() == "000000100000000005c248eb7d98c8ff"


def test_a_message_with_headers() -> None:
    """Lengths, headers of type 7, the payload, and both checksums over what stands before them."""
    message = messages.event("metadata", b"{}")
    total, headers, prelude = struct.unpack(">III", message[:12])
    assert (total, prelude) == (len(message), zlib.crc32(message[:8]))
    assert message[12:34] == b"\x0b:event-type\x07\x00\x08metadata"[:22]
    assert message[12 + headers : -4] == b"{}"
    assert struct.unpack(">I", message[-4:])[0] == zlib.crc32(message[:-4])


def test_messages_in_a_file() -> None:
    """Events by their kind, and an exception."""
    body = written("{messages: [{metadata: {}}, {exception: e, payload: {message: m}}]}")
    assert body == messages.event("metadata", b"{}") + messages.exception("e", b'{"message":"m"}')


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (FILE.format(answer="{jsn: 1}"), "x.yaml: fixtures[0].answer: unknown key jsn"),
        (FILE.format(answer="{json: 1, text: a}"), "x.yaml: fixtures[0].answer: one of json"),
        (FILE.format(answer="{events: ['x'], end: lfcr}"), "x.yaml: fixtures[0].answer.end: one of lf, crlf, cr"),
        (FILE.format(answer="{messages: [{a: 1, b: 2}]}"), "x.yaml: fixtures[0].answer.messages[0]: the kind"),
        (FILE.format(answer="{base64: '?'}"), "x.yaml: fixtures[0].answer.base64: "),
        (
            FILE.format(answer="{json: 1}").replace("total: 3", "totl: 3"),
            "x.yaml: fixtures[0].expect: unknown key totl",
        ),
        (FILE.format(answer="{json: 1}").replace("total: 3", "total: -3"), "x.yaml: fixtures[0].expect.total: a whole"),
        (FILE.format(answer="{json: 1}").replace(", total: 3", ""), "x.yaml: fixtures[0].expect: total is missing"),
        (FILE.format(answer="{json: 1}").replace("title: One", "titel: One"), "x.yaml: fixtures[0]: unknown key titel"),
        (FILE.format(answer="{json: 1}").replace("model: m\n", "", 1), "x.yaml: the document: model is missing"),
        (FILE.format(answer="{json: 1, json: 2}"), "x.yaml: line 8: json stands twice"),
        ("a: [", "x.yaml: "),
        ("[]", "x.yaml: the document: a mapping is needed"),
    ],
)
def test_nonsense_is_refused(text: str, where: str) -> None:
    """A misspelt key would assert nothing: the error names file and place."""
    with pytest.raises(WireError) as raised:
        parse(text, "x.yaml")
    assert str(raised.value).startswith(where)
