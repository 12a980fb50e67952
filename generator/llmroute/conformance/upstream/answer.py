"""From a request and its script to what is written: a status, headers and pieces. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from llmroute.conformance.upstream import openai
from llmroute.conformance.upstream.script import Break, Chunk, Script

_JSON: Final = "application/json"
_EVENTS: Final = "text/event-stream; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Piece:
    """A chunk to write, and the usage that it reports when it is the one that does."""

    chunk: Chunk
    usage: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What to write.

    ``length`` is the content-length in bytes, None for a chunked body. ``broken``: the connection is cut
    after the pieces, which ``break_after`` has shortened already; ``silent``: cut before the head.
    """

    status: int
    headers: Mapping[str, str]
    pieces: tuple[Piece, ...]
    length: int | None
    broken: bool = False
    silent: bool = False


def plan(method: str, path: str, body: bytes, script: Script) -> Answer:
    """The answer to a request. ``path`` is without its query; any prefix is allowed.

    A body that cannot be read counts as an empty object: the fake is here to be charged for, not to judge.
    """
    request = _object(body)
    answer = _scripted(request, script) or _default(method, path, request, script)
    answer = replace(answer, headers={**answer.headers, **script.headers})
    return _cut(answer, script.break_after) if script.break_after else answer


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _scripted(request: Mapping[str, Any], script: Script) -> Answer | None:
    """The answer whose body the script gives, or an error's, or None."""
    if script.chunks is not None:
        kind = _EVENTS if request.get("stream") is True else _JSON
        pieces = tuple(Piece(replace(chunk, data=chunk.data * chunk.times, times=1)) for chunk in script.chunks)
        return Answer(script.status, {"content-type": kind}, pieces, _announced(script))
    if script.body is not None:
        data = script.body.encode() if isinstance(script.body, str) else openai.dump(script.body)
        usage = script.body.get("usage") if isinstance(script.body, Mapping) else None
        return _whole(script.status, data, usage)
    if script.status >= 400:
        return _json(script.status, openai.error(script.status, f"scripted status {script.status}"))
    return None


def _announced(script: Script) -> int | None:
    """A content-length that the script itself claims for its chunks, true or not."""
    claim = script.headers.get("content-length", "")
    return int(claim) if claim.isdecimal() else None


def _default(method: str, path: str, request: Mapping[str, Any], script: Script) -> Answer:
    """What OpenAI would say."""
    if method in ("GET", "HEAD"):
        return _get(path, script)
    if method != "POST":
        return _json(405, openai.error(405, f"Not allowed to {method} on {path}"))
    model = openai.model_of(request)
    if path.endswith("/chat/completions"):
        return _generate(request, script, openai.chat, openai.chat_stream)
    if path.endswith("/completions"):
        return _generate(request, script, openai.completion, openai.completion_stream)
    if path.endswith("/embeddings"):
        vectors = openai.embeddings(model, request.get("input"))
        return _json(script.status, openai.with_usage(vectors, script.usage, openai.EMBEDDING_USAGE))
    return _json(404, openai.error(404, f"Invalid URL (POST {path})"))


def _get(path: str, script: Script) -> Answer:
    if path == "/healthz":
        return _json(script.status, {"status": "ok"})
    if path.endswith("/models"):
        return _json(script.status, openai.model_list())
    parent, _, model = path.rpartition("/")
    if parent.endswith("/models") and model:
        return _json(script.status, openai.model_card(model))
    return _json(404, openai.error(404, f"Invalid URL (GET {path})"))


def _generate(
    request: Mapping[str, Any],
    script: Script,
    whole: Callable[[str, str], dict[str, Any]],
    stream: Callable[[str, tuple[str, ...]], Iterator[dict[str, Any]]],
) -> Answer:
    """A completion, streamed when the request says so."""
    model = openai.model_of(request)
    if request.get("stream") is True:
        events = list(stream(model, openai.pieces_of(script.deltas)))
        pieces = tuple(_events(events, _asked_for_usage(request), script))
        return Answer(script.status, {"content-type": _EVENTS, "cache-control": "no-cache"}, pieces, None)
    answer = whole(model, openai.text_of(script.deltas))
    return _json(script.status, openai.with_usage(answer, script.usage, openai.USAGE))


def _asked_for_usage(request: Mapping[str, Any]) -> bool:
    options = request.get("stream_options")
    return isinstance(options, Mapping) and options.get("include_usage") is True


def _events(events: list[dict[str, Any]], asked: bool, script: Script) -> Iterator[Piece]:  # noqa: FBT001
    """The stream: with usage asked for, every chunk says ``"usage":null`` and one last chunk says it all."""
    tell = asked and script.usage != "absent"
    for index, item in enumerate(events):
        late = script.delta_delay_ms if index else 0
        yield Piece(Chunk(openai.event({**item, "usage": None} if tell else item), late))
    if tell and script.usage is not None:
        usage = openai.with_usage({}, script.usage, openai.USAGE)["usage"]
        yield Piece(Chunk(openai.event(openai.usage_chunk(events[0], usage))), usage)
    yield Piece(Chunk(openai.DONE))


def _json(status: int, value: Mapping[str, Any]) -> Answer:
    usage = value.get("usage")
    return _whole(status, openai.dump(value), usage if isinstance(usage, Mapping) else None)


def _whole(status: int, data: bytes, usage: Mapping[str, Any] | None) -> Answer:
    return Answer(status, {"content-type": _JSON}, (Piece(Chunk(data), usage),), len(data))


def _cut(answer: Answer, cut: Break) -> Answer:
    """The part of an answer that is written before the connection breaks."""
    if cut.unit == "request":
        return replace(answer, pieces=(), silent=True)
    if cut.unit == "chunks":
        return replace(answer, pieces=answer.pieces[: cut.count], broken=True)
    return replace(answer, pieces=tuple(_first_bytes(answer.pieces, cut.count)), broken=True)


def _first_bytes(pieces: tuple[Piece, ...], count: int) -> Iterator[Piece]:
    """The pieces up to ``count`` bytes, the last one shortened; a shortened piece reports no usage."""
    for piece in pieces:
        data = piece.chunk.data[:count]
        if not data:
            return
        whole = len(data) == len(piece.chunk.data)
        yield piece if whole else Piece(replace(piece.chunk, data=data))
        count -= len(data)
