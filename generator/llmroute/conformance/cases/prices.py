"""Core: weighted limits, each kind of token at its own price."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Final

from llmroute.conformance.case import USER, Case, Profile
from llmroute.conformance.cases.users import day, policy, replay, users
from llmroute.conformance.features import Feature
from llmroute.conformance.policies import per_user
from llmroute.conformance.rows import STREAM, UNASKED, ok, refused, reporting, streaming, usage
from llmroute.conformance.upstream import Script

_MESSAGES: Final = "/v1/messages"
_CACHES: Final = {"cache_creation_input_tokens": 100, "cache_read_input_tokens": 200}
_ANTHROPIC: Final = {"input_tokens": 50, "output_tokens": 30}
"""Of the cases with an expression: 50 fresh, 100 into the cache, 200 from it, 30 of completion."""
_FRESH_WRITTEN_OUT: Final = {"prompt": 1, "cachedPrompt": 0, "cacheWrite": 1, "completion": 1}
PRICES: Final = {"prompt": 1, "cachedPrompt": 0.1, "cacheWrite": 1.25, "completion": 4, "reasoning": 3}


def detailed(prompt: int, cached: int, completion: int, reasoning: int) -> dict[str, Any]:
    """OpenAI's usage, with its details."""
    details = {
        "prompt_tokens_details": {"cached_tokens": cached},
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }
    return usage(prompt + completion, prompt, completion) | details


def anthropic(fresh: int, read: int, written: int, output: int) -> dict[str, Any]:
    """Anthropic's usage, in which cached tokens are no part of the input."""
    caches = {"cache_read_input_tokens": read, "cache_creation_input_tokens": written}
    return {"input_tokens": fresh, "output_tokens": output} | caches


PRICED: Final[Mapping[str, tuple[Mapping[str, Any], int]]] = {
    "plain": (detailed(100, 0, 10, 0), 140),
    "details": (detailed(100, 41, 10, 4), 100),  # 59 + 4.1 + 24 + 12
    "more-than-all": (detailed(100, 300, 10, 50), 40),
    "total-is-not-the-sum": (usage(99, 8, 5), 28),
    "total-alone": ({"total_tokens": 9}, 9),
    "anthropic": (anthropic(3, 7, 5, 1), 14),  # 3 + 0.7 + 6.25 + 4
}
"""A usage as it is reported, and what it costs at ``PRICES``."""


def cases() -> Iterator[Case]:
    """All about prices."""
    yield from _replayed()
    proves = "The sum of all kinds at their prices is rounded up once."
    for name, (reported, charged) in PRICED.items():
        row = ok(reporting({"choices": [], "usage": reported}), charged)
        yield Case(f"priced-{name}", f"prices of a usage: {name.replace('-', ' ')}", Profile.CORE,
                   per_user(1000, weights=PRICES), (row,), proves, sources=("WS-30",))  # fmt: skip
    steps = (ok((3, 2, 5), 1), ok((10, 0, 10), 1))
    yield Case("decimals-are-exact", "0.1 + 0.2 is 0.3: three tokens at 0.1 and two at 0.35 are one", Profile.CORE,
               per_user(10, weights={"prompt": 0.1, "completion": 0.35}), steps, proves, sources=("WS-20",))  # fmt: skip
    streams = tuple(ok(Script(usage=detailed(60, 20, 10, 2)), 80, body=body) for body in (STREAM, UNASKED))
    yield Case("priced-streams", "a stream is charged by its last report, asked for or not", Profile.CORE,
               per_user(1000, weights=PRICES), streams, proves, needs=frozenset({Feature.FORCED_USAGE}))  # fmt: skip
    kinds = (day(1000, token="Prompt"), day(1000, token="Completion"), day(1000), day(100, weights=PRICES),
             day(1000, weights={"prompt": 0, "completion": 0.5}))  # fmt: skip
    row = ok((12, 25, 37), 12, 25, 37, 112, 13)
    yield Case("kinds-side-by-side", "prompt, completion, total and two prices: each counts its own", Profile.CORE,
               policy(users(*kinds)), (row, refused()), proves, (USER,) * 5)  # fmt: skip


def _replayed() -> Iterator[Case]:
    made = partial(replay, proves="Each kind of token has its price.")
    asked: dict[str, Any] = {"path": _MESSAGES}
    answer = reporting({"usage": _ANTHROPIC | _CACHES})
    of_parts = per_user(500, weights=_FRESH_WRITTEN_OUT)
    rows = [ok(answer, 180, left=500, **asked), ok(answer, 180, left=320, **asked)]
    yield made("AP-18", "input, cache writes and output, of Anthropic", of_parts, [*rows])
    start = {"type": "message_start", "message": {"usage": {"input_tokens": 50, "output_tokens": 1} | _CACHES}}
    stream = streaming(start, {"type": "message_delta", "usage": {"output_tokens": 30}}, {"type": "message_stop"})
    rows = [ok(stream, 180, left=500, **asked), ok(stream, 180, left=320, **asked)]
    yield made("AP-19", "the same, streamed", of_parts, [*rows])
    no_output = {"prompt": 1, "cachedPrompt": 0, "cacheWrite": 1, "completion": 0}
    yield made(
        "AP-20",
        "input and cache writes alone",
        per_user(100, weights=no_output),
        [ok(answer, 150, **asked), refused(**asked)],
    )
    weights = {"prompt": 1, "cachedPrompt": 0.1, "cacheWrite": 1.25, "completion": 1}
    rows = [ok(answer, 225, left=1000, **asked), ok(answer, 225, left=775, **asked)]
    yield made("AP-21", "a price for each kind", per_user(1000, weights=weights), [*rows])
    plain = reporting({"usage": _ANTHROPIC})
    rows = [ok(plain, 80, left=500, **asked), ok(plain, 80, left=420, **asked)]
    yield made("AP-22", "what is not reported counts 0", of_parts, [*rows])
    half = per_user(4, weights={"prompt": 0.5, "completion": 0.5})
    yield made(
        "WS-20",
        "a factor of 0.5, rounded up once for each answer",
        half,
        [ok((2, 1, 3), 2), ok((2, 1, 3), 2), refused()],
    )
    micro = {"prompt": 2, "completion": 8}  # millionths of a dollar
    rows = [ok((19, 10, 29), 118), ok((19, 10, 29), 118)]
    yield made("WS-28", "a budget in millionths of a dollar", per_user(236, weights=micro), [*rows, refused()])
    thousands = per_user(300_000, weights={"prompt": 1, "completion": 1000})
    rows = [ok((17, 23, 40), 23_017), ok((18, 286, 304), 286_018, body=STREAM)]
    yield made("AG-01", "output a thousand times as dear as input", thousands, [*rows, refused()])
    micro = {"prompt": 10, "completion": 30}
    yield made(
        "AG-07", "a budget in dollars", per_user(8000, weights=micro), [*[ok((1, 100, 101), 3010)] * 3, refused()]
    )
