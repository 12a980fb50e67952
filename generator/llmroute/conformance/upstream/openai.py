"""The default answers, in the shapes and with the numbers of the original document's example.

Everything is constant (id, time, text, usage), so that tests can compare bytes. Each function returns a
JSON value; ``event`` makes a server-sent event of one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from llmroute import names
from llmroute.conformance.upstream.script import Usage

MODEL: Final = "hf-opt-125m-chat"
"""The model that the models list names: the one that the original manifest serves."""
PIECES: Final = ("I", "'m", " not", " sure", " if", " this", " is", " a", " good", " idea")
"""The document's answer in its 10 completion tokens."""
USAGE: Final[Mapping[str, int]] = {"completion_tokens": 10, "prompt_tokens": 27, "total_tokens": 37}
EMBEDDING_USAGE: Final[Mapping[str, int]] = {"prompt_tokens": 27, "total_tokens": 27}
DONE: Final = b"data: [DONE]\n\n"

_ID: Final = "5aaa42ad-7b1e-43e5-a2c9-0f8b2e13cfbe"
_CREATED: Final = 1727074495


def dump(value: Any) -> bytes:
    """Compact JSON, as the document's answer has it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def event(value: Any) -> bytes:
    """One server-sent event with ``value`` as its JSON data."""
    return b"data: " + dump(value) + b"\n\n"


def model_of(request: Mapping[str, Any]) -> str:
    """The model that a request's body names; the fake answers a request without one all the same."""
    model = request.get("model")
    return model if isinstance(model, str) else names.UNKNOWN


def text_of(deltas: int | None) -> str:
    """The answer's text: the document's, or ``deltas`` pieces of it, over and over."""
    return "".join(pieces_of(deltas))


def pieces_of(deltas: int | None) -> tuple[str, ...]:
    """What each streamed delta says."""
    count = len(PIECES) if deltas is None else deltas
    return tuple(PIECES[index % len(PIECES)] for index in range(count))


def chat(model: str, text: str) -> dict[str, Any]:
    """A chat completion, without its usage."""
    message = {"content": text, "tool_calls": None, "role": "assistant", "function_call": None}
    choice = {"finish_reason": "length", "index": 0, "message": message, "logprobs": None}
    return _head(model, [choice], "chat.completion")


def completion(model: str, text: str) -> dict[str, Any]:
    """A completion of the older API, without its usage."""
    return _head(model, [_text_choice(text, "length")], "text_completion")


def chat_stream(model: str, pieces: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """The chunks of a streamed chat completion: the role, each delta, the finish; no usage."""
    yield _chat_chunk(model, {"role": "assistant", "content": ""}, None)
    for piece in pieces:
        yield _chat_chunk(model, {"content": piece}, None)
    yield _chat_chunk(model, {}, "length")


def completion_stream(model: str, pieces: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """The chunks of a streamed completion: each delta, the finish; no usage."""
    for piece in pieces:
        yield _head(model, [_text_choice(piece, None)], "text_completion")
    yield _head(model, [_text_choice("", "length")], "text_completion")


def usage_chunk(like: Mapping[str, Any], usage: Mapping[str, Any]) -> dict[str, Any]:
    """The one last chunk of a stream whose client asked for usage; ``like`` is any chunk before it."""
    return {**like, "choices": [], "usage": usage}


def embeddings(model: str, given: Any) -> dict[str, Any]:
    """One short vector for each input, without usage."""
    count = len(given) if isinstance(given, list) else 1
    data = [{"object": "embedding", "index": index, "embedding": [0.0, 0.5, -0.5, 1.0]} for index in range(count)]
    return {"object": "list", "data": data, "model": model}


def model_list() -> dict[str, Any]:
    """``GET /v1/models``."""
    return {"object": "list", "data": [model_card(MODEL)]}


def model_card(name: str) -> dict[str, Any]:
    """``GET /v1/models/{name}``; every model exists."""
    return {"id": name, "object": "model", "created": _CREATED, "owned_by": names.MANAGED_BY}


def error(status: int, message: str) -> dict[str, Any]:
    """An error as OpenAI words it."""
    kind = {429: "requests", 401: "invalid_request_error"}.get(
        status, "server_error" if status >= 500 else "invalid_request_error"
    )
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}


def with_usage(answer: Mapping[str, Any], usage: Usage, default: Mapping[str, int]) -> dict[str, Any]:
    """``answer`` with the usage that a script wants at its end: none at all where it is ``absent``."""
    if usage == "absent":
        return dict(answer)
    return {**answer, "usage": default if usage == "default" else usage}


def _head(model: str, choices: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    return {
        "id": _ID,
        "choices": choices,
        "created": _CREATED,
        "model": model,
        "system_fingerprint": None,
        "object": kind,
    }


def _chat_chunk(model: str, delta: Mapping[str, Any], finish: str | None) -> dict[str, Any]:
    choice = {"delta": delta, "finish_reason": finish, "index": 0, "logprobs": None}
    return _head(model, [choice], "chat.completion.chunk")


def _text_choice(text: str, finish: str | None) -> dict[str, Any]:
    return {"finish_reason": finish, "index": 0, "logprobs": None, "text": text}
