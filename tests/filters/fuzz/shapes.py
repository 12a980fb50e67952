"""Random events and answers of every API, with decoys of usage in every place."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from random import Random
from typing import Final

from tests.filters.fuzz.texts import array, members, mixed, mutated, noise, number, string, value

Pairs = list[tuple[bytes, bytes]]

FAMILIES: Final[tuple[tuple[bytes, ...], ...]] = (
    (b"prompt_tokens", b"completion_tokens", b"total_tokens", b"prompt_tokens_details", b"completion_tokens_details"),
    (b"input_tokens", b"output_tokens", b"total_tokens", b"input_tokens_details", b"output_tokens_details"),
    (b"input_tokens", b"output_tokens", b"cache_creation_input_tokens", b"cache_read_input_tokens"),
    (
        *(b"promptTokenCount", b"candidatesTokenCount", b"totalTokenCount", b"thoughtsTokenCount"),
        b"cachedContentTokenCount",
    ),
    (b"inputTokens", b"outputTokens", b"totalTokens", b"cacheReadInputTokens", b"cacheWriteInputTokens"),
    (b"tokens", b"billed_units"),
    (b"prompt_eval_count", b"eval_count"),
)
_DETAILS: Final = (b"cached_tokens", b"reasoning_tokens", b"audio_tokens")


def usage(random: Random) -> bytes:
    """A usage object of some API; at times of none, of two, or null."""
    kind = random.random()
    if kind < 0.05:
        return random.choice((b"null", b"null", b'[{"total_tokens":5}]', b"7", b'"usage"', b"{}", b"[]"))
    family = random.choice(FAMILIES)
    names = [name for name in family if random.random() < 0.85]
    if kind < 0.1:
        names.append(random.choice(random.choice(FAMILIES)))
    pairs = [(name, _tokens(random, name)) for name in names]
    if random.random() < 0.3:
        pairs += noise(random, 2)
    if random.random() < 0.005:
        pairs.append((b"x", b'"' + b"y" * random.choice((3000, 6000)) + b'"'))
    return members(random, mixed(random, pairs))


def _tokens(random: Random, name: bytes) -> bytes:
    if name.endswith(b"_details"):
        if random.random() < 0.1:
            return value(random, 1)
        return members(random, mixed(random, [(one, number(random)) for one in _DETAILS if random.random() < 0.7]))
    if name in {b"tokens", b"billed_units"}:
        return members(random, [(one, number(random)) for one in FAMILIES[1][:2] if random.random() < 0.9])
    return value(random, 1) if random.random() < 0.05 else number(random)


def _choice(random: Random) -> bytes:
    inside: Pairs = [(b"index", b"0"), (b"delta", members(random, [(b"content", string(random))]))]
    if random.random() < 0.2:
        inside.append((b"usage", usage(random)))
    return members(random, inside)


def _openai(random: Random) -> Pairs:
    pairs: Pairs = [(b"id", string(random)), (b"object", b'"chat.completion.chunk"')]
    empty = random.random() < 0.25
    pairs.append(
        (b"choices", array(random, [] if empty else [_choice(random) for _ in range(random.choice((1, 1, 3)))]))
    )
    said = random.random()
    if said < (0.7 if empty else 0.15):
        pairs.append((b"usage", usage(random)))
    elif said < 0.8:
        pairs.append((b"usage", b"null"))
    return pairs


def _responses(random: Random) -> Pairs:
    if random.random() < 0.6:
        return [(b"type", b'"response.output_text.delta"'), (b"delta", string(random))]
    inner: Pairs = [(b"id", string(random)), *noise(random, 1)]
    if random.random() < 0.7:
        inner.append((b"usage", usage(random)))
    return [(b"type", b'"response.completed"'), (b"response", members(random, mixed(random, inner)))]


def _anthropic(random: Random) -> Pairs:
    kind = random.random()
    if kind < 0.2:
        inner: Pairs = [(b"role", b'"assistant"'), (b"content", b"[]"), (b"usage", usage(random))]
        return [(b"type", b'"message_start"'), (b"message", members(random, mixed(random, inner)))]
    if kind < 0.7:
        return [(b"type", b'"content_block_delta"'), (b"delta", members(random, [(b"text", string(random))]))]
    if kind < 0.8:
        return [(b"type", random.choice((b'"ping"', b'"message_stop"')))]
    return [(b"type", b'"message_delta"'), (b"delta", value(random, 1)), (b"usage", usage(random))]


def _gemini(random: Random) -> Pairs:
    inner = members(random, [(b"content", value(random, 2)), *noise(random, 1)])
    pairs: Pairs = [(b"candidates", array(random, [inner] * random.choice((0, 1, 1, 2))))]
    if random.random() < 0.4:
        pairs.append((b"usageMetadata", usage(random)))
    return pairs


def _bedrock(random: Random) -> Pairs:
    kind = random.random()
    if kind < 0.6:
        return [(b"contentBlockIndex", b"0"), (b"delta", members(random, [(b"text", string(random))]))]
    if kind < 0.8:
        return [
            random.choice(((b"role", b'"assistant"'), (b"stopReason", b'"end_turn"'), (b"contentBlockIndex", b"1")))
        ]
    return [(b"usage", usage(random)), (b"metrics", members(random, [(b"latencyMs", number(random))]))]


def _cohere(random: Random) -> Pairs:
    kind = random.random()
    if kind < 0.6:
        return [(b"type", b'"content-delta"'), (b"delta", value(random, 2))]
    if kind < 0.8:
        return [(b"meta", usage(random)), (b"id", string(random))]
    inner: Pairs = [(b"finish_reason", b'"COMPLETE"'), (b"usage", usage(random))]
    return [(b"type", b'"message-end"'), (b"delta", members(random, inner))]


def _ollama(random: Random) -> Pairs:
    done = random.random() < 0.2
    pairs: Pairs = [(b"model", string(random)), (b"done", b"true" if done else b"false")]
    if done:
        pairs += [(b"prompt_eval_count", number(random)), (b"eval_count", number(random))]
    return [*pairs, random.choice(((b"response", string(random)), (b"message", value(random, 1))))]


def _unknown(random: Random) -> Pairs:
    return random.choice((noise, _anybody))(random)


def _anybody(random: Random) -> Pairs:
    return [random.choice(((b"response", string(random)), (b"message", string(random)), (b"content", string(random))))]


APIS: Final[tuple[Callable[[Random], Pairs], ...]] = (
    *(_openai, _openai, _openai, _responses, _anthropic, _gemini, _bedrock, _cohere, _ollama, _unknown),
)


def event(random: Random, api: Callable[[Random], Pairs]) -> bytes:
    """One event of an API, with noise."""
    pairs = api(random)
    if random.random() < 0.15:
        pairs += noise(random, 2)
    text = members(random, mixed(random, pairs))
    return mutated(random, text) if random.random() < 0.04 else text


_SAID: Final = re.compile(rb'"(?:content|text|delta)"\s*:\s*"((?:[^"\\]|\\.)*)"', re.DOTALL)


def alike(random: Random, text: bytes, *, near: bool) -> bytes:
    """An event that differs from one before it in one string, or nearly so: such ones are read by comparison."""
    said = _SAID.search(text)
    if said and (near or random.random() < 0.3):
        new = random.choice(
            (b"", b"more", b" and more", b"{}", b"\xc3\xa9", b"\\n", b'\\"', b"\\u0041", b"\\\\", b"\\x")
        )
        return text[: said.start(1)] + new + text[said.end(1) :]
    places = [at for at in range(len(text)) if text[at : at + 1] == b'"']
    if len(places) < 2:
        return text
    at = random.randrange(len(places) - 1)
    start, stop = places[at] + 1, places[at + 1]
    kind = random.random()
    if kind < 0.6:
        return text[:start] + random.choice((b"", b"more", b"other text", b"{", b"e")) + text[stop:]
    if kind < 0.8:
        return text[:start] + string(random)[1:-1] + text[stop:]
    return mutated(random, text)


def _names(text: bytes) -> list[str]:
    """The name of every member at any depth, as often as it is there."""
    names: list[str] = []

    def keep(pairs: list[tuple[str, object]]) -> None:
        names.extend(name for name, _ in pairs)

    json.loads(text.decode("latin-1"), strict=False, object_pairs_hook=keep)
    return names


def long(random: Random, api: Callable[[Random], Pairs]) -> bytes:
    """An event over the cap. It is read in passing, where each of repeated members counts and no long usage does."""
    while True:
        pairs = [pair for pair in api(random) if pair[0] != b"usage"]
        if random.random() < 0.7:
            pairs.append((b"usage", usage(random)))
        text = members(random, [*pairs, (b"pad", b'"' + b"p" * 70000 + b'"')])
        names = _names(text)
        if len(set(names)) == len(names) and b"y" * 3000 not in text:
            return text


def events(random: Random) -> list[bytes]:
    """Some events of one API, now and then of two."""
    api = random.choice(APIS)
    found: list[bytes] = []
    for _ in range(random.choice((1, 2, 4, 8))):
        api = random.choice(APIS) if random.random() < 0.05 else api
        text = event(random, api)
        found.append(text)
        if random.random() < 0.3:
            near = random.random() < 0.5
            found += [alike(random, text, near=near) for _ in range(random.choice((1, 3, 5)))]
    # Ollama's counts are not found in an event over the cap; no server frames them as events.
    if random.random() < 0.003 and api is not _ollama:
        found[random.randrange(len(found))] = long(random, api)
    return found
