"""Random requests."""

from __future__ import annotations

from random import Random
from typing import Final

from tests.filters.fuzz import forms
from tests.filters.fuzz.engine import Case
from tests.filters.fuzz.texts import BOM, array, blank, members, mixed, mutated, noise, string, value
from tests.filters.fuzz.upstream import APIS

_WORDS: Final = (b"true", b"true", b"true", b"false", b"null", b'"true"', b"1", b"[true]", b"True"[:1].lower() + b"rue")
_ASKED: Final = (b"true", b"false", b"null", b"null", b'"true"', b"0", b"{}")
_NUMBERS: Final = (
    b"0",
    b"1",
    b"7",
    b"8",
    b"1000",
    b"1001",
    b"-1",
    b"-0",
    b"5.5",
    b"7e0",
    b"1e3",
    b"null",
    b'"5"',
    b"[]",
    b"NaN",
)
_COUNTS: Final = (b"1", b"2", b"3", b"500", b"0", b"-2", b"1.5", b"null", b'"2"', b"[2]", b"1e9", b"true", b"NaN")


PATHS: Final = (
    *("/v1/chat/completions", "/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages", "/v2/chat"),
    *("/v1beta/models/gemini:generateContent", "/v1beta/models/gemini:streamGenerateContent?alt=sse", "/x/embeddings"),
    *("/model/anthropic.claude/converse", "/model/a%2Fb/converse-stream", "/api/chat", "/api/generate", "/other"),
    *(
        "/openai/deployments/gpt/chat/completions?api-version=1",
        "/v1/messages/count_tokens",
        "/v1/models/m:countTokens",
    ),
)
_SEGMENTS: Final = (
    *("v1", "openai", "deployments", "models", "model", "tunedModels", "chat", "completions", "Models", "OPENAI"),
    *("gpt-4", "a%2Fb", "m%C3%A9", "%ff", "a:generateContent", "a:b:countTokens", "x:", ":go", "converse", "%20m%20"),
    *(
        "%6dodel",
        "%",
        "%zz",
        "%2",
        "%00",
        "%01",
        "",
        "",
        "m%0ax",
        "%2F",
        "chat%2Fcompletions",
        "%252F",
        "model%2Fm%2Fgo",
    ),
)


def make(random: Random, target: str) -> Case:
    """A random request: target request, broken, form or path."""
    path, kind = random.choice(PATHS), random.choice(("application/json", "application/json", "", "text/plain"))
    body = _body(random)
    if target == "broken":
        body = mutated(random, body)
    elif target == "form":
        kind, body = forms.make(random)
    elif target == "path":
        path = "/" + "/".join(random.choice(_SEGMENTS) for _ in range(random.choice((1, 2, 3, 5))))
        path += random.choice(("", "", "/", "?model=x", "#f", "?a=/chat/completions"))
    headers = [(":method", "GET" if random.random() < 0.01 else "POST"), (":path", path)]
    headers.append(("content-length", str(len(body))))
    if kind:
        headers.append(("content-type", kind))
    if random.random() < 0.03:
        headers.append(("content-encoding", random.choice(("gzip", "identity", " Identity", "identity, identity"))))
    return Case(target, "request", (body,), tuple(headers), {}, random.choice((0, 0, 2, 4, 5)))


def _body(random: Random) -> bytes:
    pairs = [(b"model", string(random) if random.random() < 0.8 else value(random, 1))]
    talk = members(random, [(b"role", b'"user"'), (b"content", string(random))])
    names = random.choice(((b"messages",), (b"messages",), (b"prompt",), (b"input",), (b"query", b"documents"), ()))
    said = random.choice(([talk, talk], [talk, talk], [string(random), b"1", b"[2,3]"][random.randrange(3) :], []))
    pairs += [(name, array(random, said) if random.random() < 0.7 else string(random)) for name in names]
    if random.random() < 0.6:
        pairs.append((b"stream", random.choice(_WORDS)))
    if random.random() < 0.4:
        inner = [(random.choice((b"include_usage", b"x")), random.choice(_ASKED)) for _ in range(random.randrange(3))]
        pairs.append((b"stream_options", members(random, inner) if random.random() < 0.8 else value(random, 1)))
    for name in _SOME:
        if random.random() < 0.06:
            pairs.append((name.encode(), random.choice(_COUNTS if name in _COUNTERS else _NUMBERS)))
    for name in _HOLDERS:
        if random.random() < 0.1:
            pairs.append((name.encode(), _holder(random) if random.random() < 0.85 else value(random, 1)))
    text = blank(random) + members(random, mixed(random, pairs + noise(random, 2))) + blank(random)
    return BOM + text if random.random() < 0.02 else text


def _holder(random: Random) -> bytes:
    fields = ("maxOutputTokens", "max_output_tokens", "maxTokens", "num_predict", "candidateCount", "candidate_count")
    pairs = [
        (name.encode(), random.choice(_COUNTS if name in _COUNTERS else _NUMBERS))
        for name in fields
        if random.random() < 0.3
    ]
    return members(random, mixed(random, pairs))


_COUNTERS: Final = tuple(sorted({name for api in APIS.values() for name in api.counts}))
_HOLDERS: Final = tuple(sorted({name for api in APIS.values() for name in api.holders}))
_SOME: Final = tuple(sorted({name for api in APIS.values() if not api.holders for name in (*api.fields, *api.counts)}))
