"""How many tokens LiteLLM holds for a request under way, by default: characters / 4, and the longest answer. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from llmroute.conformance.case import Request

_CHARACTERS: Final = 4
"""Of a prompt, for a token."""
_MOST: Final = 1024
"""Held, at the most, for an answer that a request does not bound."""
_PART: Final = 4
"""So many such answers fit in a limit, where less is held than the most."""
_LEAST_RESPONSE: Final = 16
"""Held, at the least, for an answer of the Responses API."""
_BOUNDS: Final = ("max_tokens", "max_completion_tokens", "max_output_tokens")
_TEXTS: Final = ("messages", "contents", "prompt", "input")
"""Where the APIs have their prompts."""


def hold(quantity: int, request: Request) -> int:
    """Tokens held for a request, by the least limit that it is under."""
    body = _object(request.content)
    prompt = sum(map(len, _prompt(body)))
    held = max(1, prompt // _CHARACTERS) if prompt else 0
    if not request.path.endswith("/embeddings") and (prompt or _bound(body) is not None):
        answers = body.get("n", 1)
        held += _answer(quantity, held, request.path, _bound(body)) * (answers if isinstance(answers, int) else 1)
    return max(1, held)


def _answer(quantity: int, prompt: int, path: str, bound: int | None) -> int:
    least = _LEAST_RESPONSE if path.endswith("/responses") else 0
    return max(least, bound) if bound is not None else max(least, 1, prompt, min(_MOST, quantity // _PART))


def _bound(body: Mapping[str, Any]) -> int | None:
    return max((body[name] for name in _BOUNDS if isinstance(body.get(name), int)), default=None)


def _prompt(body: Mapping[str, Any]) -> Iterator[str]:
    """Every text of the prompt."""
    for name in _TEXTS:
        yield from _texts(body.get(name))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
    elif isinstance(value, Mapping):
        for name in ("content", "text", "parts"):
            yield from _texts(value.get(name))


def _object(content: bytes) -> Mapping[str, Any]:
    """A body, of repeated fields the last; nothing where it is none."""
    try:
        value = json.loads(content)
    except ValueError:
        return {}
    return value if isinstance(value, Mapping) else {}
