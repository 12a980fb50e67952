"""Faults: the service that counts dies, or hangs, and comes back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Final

from llmroute.conformance.case import CHAT, Case, Profile, Send
from llmroute.conformance.features import Feature
from llmroute.conformance.policies import per_user
from llmroute.conformance.rows import FREEZE, KILL, START, STREAM, THAW, denied, ok, refused, reporting

_APIS: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "openai": (CHAT, {"usage": {"total_tokens": 37}}),
    "anthropic": ("/v1/messages", {"usage": {"input_tokens": 30, "output_tokens": 7}}),
    "gemini": ("/v1beta/models/m:generateContent", {"usageMetadata": {"totalTokenCount": 37}}),
}
"""A path of each API, and an answer of 37 tokens there."""
_STATUSES: Final = (500, 503)
"""Envoy Gateway says 500, a plain Envoy 503."""
_UNCOUNTED: Final = {"x-ratelimit-limit-tokens": None, "x-ratelimit-remaining-tokens": None}
_policy: Final = per_user(1_000_000)


def cases() -> Iterator[Case]:
    """All about a service that is away."""
    yield from _closed()
    yield from _open()


def _away(path: str = CHAT, **more: Any) -> Send:
    """Refused because nobody can count."""
    return denied(*_STATUSES, path=path, **more)


def _closed() -> Iterator[Case]:
    made = partial(Case, profile=Profile.FAULTS, policy=_policy, proves="Nothing passes that nobody counts.")
    for api, (path, body) in _APIS.items():
        row = partial(ok, reporting(body), 37, path=path)
        told = {"content-type": "application/json", "retry-after": "1"} | _UNCOUNTED
        away = _away(path, told=told, says="The rate limit cannot be checked right now.")
        shaped = frozenset({Feature.REFUSALS})
        yield made(f"killed-{api}", f"the service dies and comes back: refused meanwhile in the shape of {api}", needs=shaped,
                   steps=(row(), KILL, away, away, START, row(again=True), row()), sources=("N-10", "AG-05"))  # fmt: skip
        yield made(f"frozen-{api}", f"the service hangs and goes on: refused meanwhile in the shape of {api}", needs=shaped,
                   steps=(row(), FREEZE, away, THAW, row(again=True), row()), sources=("N-10",))  # fmt: skip
    stream = partial(ok, 37, body=STREAM)
    yield made("killed-stream", "the service dies and comes back: a stream is refused meanwhile",
               steps=(stream(), KILL, _away(body=STREAM), START, stream(again=True)))  # fmt: skip
    used = partial(
        Case,
        profile=Profile.FAULTS,
        policy=per_user(37),
        proves="A used-up limit is used up whatever befalls the service.",
    )
    yield used(
        "killed-when-used-up",
        "what is used up stays so when the service is back",
        steps=(ok(37), KILL, _away(), START, refused(again=True)),
    )
    yield used(
        "frozen-when-used-up",
        "what is used up stays so when the service goes on",
        steps=(ok(37), FREEZE, _away(), THAW, refused(again=True)),
    )


def _open() -> Iterator[Case]:
    made = partial(Case, profile=Profile.FAULTS, policy=per_user(5 * 37), proves="Where the policy says so, everything passes meanwhile.",
                   fail_open=True)  # fmt: skip
    free = ok(37, 0, told=_UNCOUNTED)
    yield made(
        "open-killed", "the service dies: everything passes, unmetered and untold", steps=(ok(37), KILL, *[free] * 6)
    )
    yield made("open-frozen", "the service hangs: a request passes all the same", steps=(ok(37), FREEZE, ok(37, 0), THAW),
               subjects=())  # fmt: skip
