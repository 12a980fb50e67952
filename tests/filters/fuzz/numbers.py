"""What a usage object says: the table of wire formats, in Python."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from tests.filters.fuzz.tree import last

LIMIT: Final = 1_000_000_000
_NUMBER: Final = re.compile(r"-?\d")

Fields = dict[str, int]
"""Numbers by their names; the name of a nested one has a dot."""

_DETAILS: Final = {
    "prompt_tokens_details": "cached_tokens",
    "completion_tokens_details": "reasoning_tokens",
    "input_tokens_details": "cached_tokens",
    "output_tokens_details": "reasoning_tokens",
}
_PLAIN: Final = (
    *("prompt_tokens", "completion_tokens", "total_tokens"),
    *("input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"),
    *("promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount", "cachedContentTokenCount", "totalTokenCount"),
    *("inputTokens", "outputTokens", "totalTokens", "cacheReadInputTokens", "cacheWriteInputTokens"),
    *("prompt_eval_count", "eval_count"),
)


class _Api(NamedTuple):
    """Names of numbers: summed up to the prompt and the completion; of all others the first that is there."""

    asked: tuple[str, ...]
    answered: tuple[str, ...]
    total: tuple[str, ...] = ()
    cached: tuple[str, ...] = ()
    cache_write: tuple[str, ...] = ()
    reasoning: tuple[str, ...] = ()


_APIS: Final = (
    _Api(
        ("prompt_tokens",),
        ("completion_tokens",),
        ("total_tokens",),
        ("prompt_tokens_details.cached_tokens",),
        (),
        ("completion_tokens_details.reasoning_tokens",),
    ),
    _Api(
        ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"),
        ("output_tokens",),
        ("total_tokens",),
        ("cache_read_input_tokens", "input_tokens_details.cached_tokens"),
        ("cache_creation_input_tokens",),
        ("output_tokens_details.reasoning_tokens",),
    ),
    _Api(
        ("promptTokenCount",),
        ("candidatesTokenCount", "thoughtsTokenCount"),
        ("totalTokenCount",),
        ("cachedContentTokenCount",),
        (),
        ("thoughtsTokenCount",),
    ),
    _Api(
        ("inputTokens", "cacheReadInputTokens", "cacheWriteInputTokens"),
        ("outputTokens",),
        ("totalTokens",),
        ("cacheReadInputTokens",),
        ("cacheWriteInputTokens",),
    ),
    _Api(("prompt_eval_count",), ("eval_count",)),
)
"""OpenAI; its responses, Anthropic and Cohere; Gemini; Bedrock; Ollama."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """The six numbers of an answer."""

    prompt: int = 0
    completion: int = 0
    total: int = 0
    cached: int = 0
    cache_write: int = 0
    reasoning: int = 0


def cap(number: float) -> int:
    """At most the most that can be charged."""
    return LIMIT if number >= LIMIT else math.ceil(number)


def _number(text: str, start: int, stop: int) -> int | None:
    raw = text[start:stop]
    below = raw.startswith("-") and any(digit in "123456789" for digit in raw.lower().split("e")[0])
    if below or not _NUMBER.match(raw):
        return None
    return cap(float(raw))


def flat(text: str, at: int) -> Fields:
    """The numbers of the object at ``at``, without what Cohere wraps."""
    found: Fields = {}
    for key, member in last(text, at).items():
        if key in _PLAIN:
            number = _number(text, member.value, member.stop)
            if number is not None:
                found[key] = number
        elif key in _DETAILS:
            inner = last(text, member.value).get(_DETAILS[key])
            number = _number(text, inner.value, inner.stop) if inner else None
            if number is not None:
                found[f"{key}.{_DETAILS[key]}"] = number
    return found


def fields(text: str, at: int, *, wrapped: bool = False) -> Fields | None:
    """The numbers of a usage object of any API; None when it has none. ``wrapped``: only what Cohere wraps."""
    outer = last(text, at)
    candidates = [] if wrapped else [at]
    candidates += [outer[name].value for name in ("tokens", "billed_units") if name in outer]
    return next((found for found in (flat(text, one) for one in candidates) if read(found)), None)


def read(found: Mapping[str, int]) -> Numbers | None:
    """What the numbers mean, by the API whose names they bear; a total alone is the least. None: nothing."""
    for names in ("asked", "answered"), ("total",):
        for api in _APIS:
            if any(name in found for kind in names for name in getattr(api, kind)):
                return _numbers(found, api)
    return None


def _numbers(found: Mapping[str, int], api: _Api) -> Numbers:
    asked = cap(sum(found.get(name, 0) for name in api.asked))
    answered = cap(sum(found.get(name, 0) for name in api.answered))
    total = next((found[name] for name in api.total if name in found), cap(asked + answered))
    rest = (next((found[name] for name in names if name in found), 0) for names in api[3:])
    return Numbers(asked, answered, total, *rest)
