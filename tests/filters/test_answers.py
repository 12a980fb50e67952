"""Metering of JSON answers: exact on every byte, wherever the answer is cut."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmroute import names
from tests.filters.proxy import EVERY, JSON_ANSWER, Engine, cuts, engine_named, tokens

ASK = b'{"model":"m","messages":["0123456789"]}'
ESTIMATE = math.ceil(len('["0123456789"]') / 4)


def usage(prompt: object, completion: object, total: object) -> dict[str, object]:
    """A usage object as OpenAI has it."""
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total}


def charge(engine: Engine, chunks: list[bytes]) -> dict[str, Any]:
    """The metadata after an answer in these pieces."""
    stream = engine.stream()
    stream.request(ASK)
    message = stream.answer(chunks)
    assert message.chunks == chunks
    assert stream.logs == []
    return stream.metadata


def choice(content: str) -> list[dict[str, Any]]:
    """The choices of a completion."""
    return [{"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}]


ARGUMENTS = {"usage": {"total_tokens": 1}}
TOOL = [{"message": {"tool_calls": [{"function": {"arguments": ARGUMENTS}}]}, "usage": {"total_tokens": 2}}]
DETAILS = {
    **usage(30, 15, 45),
    "prompt_tokens_details": {"cached_tokens": 10, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 7},
}
NULLS = {**usage(10, 5, 15), "prompt_tokens_details": None, "completion_tokens_details": None}
FIXTURES = {
    "FX-02 details": (json.dumps({"choices": choice("x"), "usage": DETAILS}), (30, 15, 45)),
    "FX-07 details null": (json.dumps({"choices": choice("x"), "usage": NULLS}), (10, 5, 15)),
    "FX-18 embeddings": (
        json.dumps({"data": [{"embedding": [0.1, -2e-3]}], "usage": {"prompt_tokens": 8, "total_tokens": 8}}),
        (8, 0, 8),
    ),
    "FX-19 total is no sum": (json.dumps({"choices": choice("x"), "usage": usage(8, 5, 10)}), (8, 5, 10)),
    "FX-21 usage in text": (
        json.dumps({"choices": choice('"usage":{"total_tokens":1}'), "usage": usage(13, 12, 37)}),
        (13, 12, 37),
    ),
    "FX-21 usage in text at the end": (
        json.dumps({"usage": usage(13, 12, 37), "choices": choice('\\"usage":{"total_tokens":1}\\')}),
        (13, 12, 37),
    ),
    "FX-22 usage in a tool call": (json.dumps({"choices": TOOL, "usage": usage(1, 2, 3)}), (1, 2, 3)),
    "FX-22 tool call last": (json.dumps({"usage": usage(1, 2, 3), "choices": TOOL}), (1, 2, 3)),
    "FX-23 pretty": (json.dumps({"choices": choice("x"), "usage": usage(10, 8, 18)}, indent=2), (10, 8, 18)),
    "escaped key": ('{"us\\u0061ge":{"total_\\u0074okens":7}}', (0, 0, 7)),
    "repeated usage": ('{"usage":{"total_tokens":1},"usage":{"total_tokens":9}}', (0, 0, 9)),
    "null after usage": ('{"usage":{"total_tokens":9},"usage":null}', (0, 0, 9)),
    "repeated number": ('{"usage":{"total_tokens":1,"total_tokens":9}}', (0, 0, 9)),
    "key in a string value": ('{"a":"usage","b":{"usage":{"total_tokens":1}},"usage":{"total_tokens":4}}', (0, 0, 4)),
    "nested in usage": ('{"usage":{"x":{"total_tokens":1},"total_tokens":4,"y":"}\\""}}', (0, 0, 4)),
    "BOM": ('\ufeff {"usage":{"total_tokens":4}}', (0, 0, 4)),
}


@pytest.mark.parametrize("name", FIXTURES)
def test_usage_is_exact_at_every_cut(engine: Engine, name: str) -> None:
    """The top-level usage of the answer is charged, in whatever pieces it comes; the bytes go on untouched."""
    body, expected = FIXTURES[name]
    for chunks in cuts(body.encode()):
        assert tokens(charge(engine, chunks)) == (*expected, "reported"), chunks


def test_details_are_read(engine: Engine) -> None:
    """Cached and reasoning tokens come from the details, null details are none."""
    first = charge(engine, [FIXTURES["FX-02 details"][0].encode()])
    assert (first[names.CACHED_TOKENS], first[names.REASONING_TOKENS]) == (10, 7)
    second = charge(engine, [FIXTURES["FX-07 details null"][0].encode()])
    assert (second[names.CACHED_TOKENS], second[names.REASONING_TOKENS]) == (0, 0)


@pytest.mark.parametrize(
    ("reported", "expected"),
    [
        ('{"prompt_tokens":3,"completion_tokens":4}', (3, 4, 7)),
        ('{"completion_tokens":4}', (0, 4, 4)),
        ('{"total_tokens":11}', (0, 0, 11)),
        ('{"total_tokens":0}', (0, 0, 0)),
        ('{"total_tokens":-0}', (0, 0, 0)),
        ('{"total_tokens":18.0}', (0, 0, 18)),
        ('{"total_tokens":18.2}', (0, 0, 19)),
        ('{"total_tokens":1.8e1}', (0, 0, 18)),
        ('{"prompt_tokens":3,"completion_tokens":4,"total_tokens":"42"}', (3, 4, 7)),
        ('{"prompt_tokens":-3,"completion_tokens":4,"total_tokens":null}', (0, 4, 4)),
        ('{"prompt_tokens":true,"completion_tokens":[4],"total_tokens":9}', (0, 0, 9)),
        ('{"total_tokens":3000000005}', (0, 0, 1_000_000_000)),
        ('{"total_tokens":1e999}', (0, 0, 1_000_000_000)),
        ('{"total_tokens":8e9567890}', (0, 0, 1_000_000_000)),
        ('{"total_tokens":8e-9567890}', (0, 0, 0)),
        ('{"total_tokens":0.0e9567890}', (0, 0, 0)),
        ('{"total_tokens":-0.5e9567890,"completion_tokens":4}', (0, 4, 4)),
        ('{"prompt_tokens":900000000,"completion_tokens":900000000}', (900_000_000, 900_000_000, 1_000_000_000)),
    ],
)
def test_odd_numbers(engine: Engine, reported: str, expected: tuple[int, int, int]) -> None:
    """What is no non-negative number is absent; fractions round up; the charge stays within what Envoy takes."""
    metadata = charge(engine, [b'{"usage":' + reported.encode() + b"}"])
    assert tokens(metadata) == (*expected, "reported")


@pytest.mark.parametrize(
    "body",
    [
        '{"choices":[]}',
        '{"usage":null}',
        '{"usage":[1]}',
        '{"usage":"total_tokens"}',
        '{"usage":{}}',
        '{"usage":{"total_tokens":-1}}',
        '{"usage":{"total_tokens":NaN}}',
        '{"usage":{"total_tokens":Infinity}}',
        '{"usage":{"total_tokens":0x10}}',
        '{"usage":{"total_tokens":1',
        '[[{"usage":{"total_tokens":1}}]]',
        '"usage"',
        "usage",
        '{"choices":[{"usage":{"total_tokens":1}}]}',
        '{"usage":{"pad":"' + "x" * 4096 + '","total_tokens":1}}',
    ],
)
def test_no_usage_is_estimated(engine: Engine, body: str) -> None:
    """FX-04, FX-06: a success without usage costs the prompt and a quarter of its bytes."""
    for chunks in cuts(body.encode()) if len(body) < 100 else [[body.encode()]]:
        completion = math.ceil(len(body) / 4)
        assert tokens(charge(engine, chunks)) == (ESTIMATE, completion, ESTIMATE + completion, "estimated")


def test_usage_after_a_huge_one_counts(engine: Engine) -> None:
    """A usage object over the cap is given up; the next one is read."""
    huge = b'{"usage":{"total_tokens":1,"pad":"' + b"x" * 5000 + b'"},"usage":{"total_tokens":6}}'
    assert tokens(charge(engine, [huge[:2000], huge[2000:]])) == (0, 0, 6, "reported")


def test_client_that_leaves_is_charged_for_what_it_saw(engine: Engine) -> None:
    """After every piece the metadata is current: the estimate so far, then what is reported."""
    stream = engine.stream()
    stream.request(ASK)
    pieces = [b'{"a":"', b"x" * 94, b'",', b'"usage":{"total_tokens":5}}']
    seen = [tokens(metadata) for metadata in stream.answer(pieces, watch=True).seen]
    assert seen == [
        (4, 2, 6, "estimated"),
        (4, 25, 29, "estimated"),
        (4, 26, 30, "estimated"),
        (0, 0, 5, "reported"),
    ]


def test_prompt_is_charged_from_the_headers_on(engine: Engine) -> None:
    """A client that leaves before the first byte of a success has cost the prompt."""
    stream = engine.stream()
    stream.request(ASK)
    stream.answer(None, [(":status", "204")])
    assert tokens(stream.metadata) == (4, 0, 4, "estimated")


@pytest.mark.parametrize("status", ["301", "400", "401", "404", "429", "500", "503"])
def test_errors_are_free(engine: Engine, status: str) -> None:
    """An answer that is no success costs no tokens, whatever it says."""
    stream = engine.stream()
    stream.request(ASK)
    stream.answer([b'{"usage":{"total_tokens":5}}'], [(":status", status), ("content-type", "application/json")])
    assert tokens(stream.metadata) == (0, 0, 0, "none")


def test_answer_without_a_request_is_defaulted(engine: Engine) -> None:
    """A local reply from before the filter saw the request has metadata all the same."""
    stream = engine.stream()
    stream.answer(None, [(":status", "401")])
    assert tokens(stream.metadata) == (0, 0, 0, "none")


def test_compressed_answer_is_estimated(engine: Engine) -> None:
    """What is compressed all the same is not read, only weighed."""
    stream = engine.stream()
    stream.request(ASK)
    stream.answer([b'{"usage":{"total_tokens":5}}'], [*JSON_ANSWER, ("content-encoding", "gzip")])
    assert tokens(stream.metadata) == (4, 7, 11, "estimated")
    stream = engine.stream()
    stream.request(ASK)
    stream.answer([b'{"usage":{"total_tokens":5}}'], [*JSON_ANSWER, ("content-encoding", "Identity")])
    assert tokens(stream.metadata) == (0, 0, 5, "reported")


_LEAF = st.none() | st.booleans() | st.integers(-5, 10**12) | st.floats(-1, 1e6, allow_nan=False) | st.text(max_size=6)
_NAME = st.sampled_from(["usage", "total_tokens", "prompt_tokens", "completion_tokens", 'a"', "\\", "é", "x"])


class _Pairs(list[tuple[str, Any]]):
    """An object whose keys may repeat."""


def _dump(value: Any) -> str:
    if isinstance(value, _Pairs):
        return "{" + ", ".join(f"{json.dumps(key)} :{_dump(item)}" for key, item in value) + "}"
    if isinstance(value, list):
        return "[" + " ,".join(map(_dump, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _pairs(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[_Pairs]:
    return st.lists(st.tuples(_NAME, inner), max_size=4).map(_Pairs)


_VALUE = st.recursive(_LEAF, lambda inner: st.lists(inner, max_size=3) | _pairs(inner), max_leaves=12)


def _number(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        return None
    return min(math.ceil(value), names.MAX_CHARGE)


def _oracle(document: _Pairs) -> tuple[int, int, int] | None:
    found = None
    for key, value in document:
        if key == "usage" and isinstance(value, _Pairs):
            last = dict(value)
            p, c, t = (_number(last.get(f"{k}_tokens")) for k in ("prompt", "completion", "total"))
            if (p, c, t) != (None, None, None):
                total = t if t is not None else min((p or 0) + (c or 0), names.MAX_CHARGE)
                found = (p or 0, c or 0, total)
    return found


@pytest.mark.parametrize("name", EVERY)
def test_usage_agrees_with_pythons_json(name: str) -> None:
    """On random answers in random pieces the charge is what Python's json reads at the top level."""
    engine = engine_named(name)

    @settings(max_examples=300, deadline=None, database=None, derandomize=True)
    @given(_pairs(_VALUE), st.lists(st.integers(1, 20), min_size=1, max_size=6))
    def agree(document: _Pairs, sizes: list[int]) -> None:
        body, at = _dump(document).encode(), 0
        chunks: list[bytes] = []
        while at < len(body):
            size = sizes[len(chunks) % len(sizes)]
            chunks.append(body[at : at + size])
            at += size
        got = tokens(charge(engine, chunks))
        expected = _oracle(document)
        assert got[3] == ("estimated" if expected is None else "reported")
        assert expected is None or got[:3] == expected

    agree()


@pytest.mark.parametrize(("told", "before"), [(True, (13, 12, 25, "reported")), (False, (0, 0, 0, "none"))])
@pytest.mark.parametrize("step", [1, 1000])
def test_the_last_byte_of_a_known_length_ends_an_answer(
    engine: Engine, told: bool, before: tuple[int, int, int, str], step: int
) -> None:
    """What ends the stream is not waited for, or the answer would be whole, and charged, only with that."""
    body = json.dumps({"choices": choice("x"), "usage": usage(13, 12, 25)}).encode()
    stream = engine.stream({"usage": {"onDisconnect": "Free"}})
    stream.request(ASK)
    pieces = [body[at : at + step] for at in range(0, len(body), step)]
    length = [("content-length", str(len(body)))] if told else []
    message = stream.answer(pieces, [*JSON_ANSWER, *length], trailers=True, watch=True)
    assert message.chunks == pieces
    assert tokens(message.seen[-1]) == before
    assert tokens(stream.metadata) == (13, 12, 25, "reported")
    assert all(tokens(seen) == (0, 0, 0, "none") for seen in message.seen[:-1])


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        (b'{"total_tokens":7,"a":"\\n"}', True),
        (b'{"total_tokens":7,"a":"\\q"}', False),
        (b'{"total_tokens":7,"a":"\\u12"}', False),
        (b'{"total_tokens":7,"a":{"b":"\\q"}}', False),
        (b'{"total_tokens":7,}', False),
        (b'{"total_tokens":7 "a":1}', False),
    ],
)
@pytest.mark.parametrize("name", ["usage", "usageMetadata"])
def test_a_usage_object_is_json_or_none(engine: Engine, name: str, usage: bytes, counts: bool) -> None:
    """One that no parser takes reports nothing, a broken escape included; the answer is estimated."""
    body = b'{"a":1,"%s":%s}' % (name.encode(), usage)
    for chunks in cuts(body):
        metadata = charge(engine, chunks)
        expected = (0, 0, 7, "reported") if counts else (ESTIMATE, -(-len(body) // 4))
        assert tokens(metadata)[: len(expected)] == expected
        assert (metadata[names.USAGE_SOURCE] == "reported") == counts
