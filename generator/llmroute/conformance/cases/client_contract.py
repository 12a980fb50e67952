"""Client contract: what answers and refusals tell a client, and what the SDKs of the APIs do then."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Final

from llmroute.conformance.case import CHAT, USER, Api, Ask, Case, Profile, Step
from llmroute.conformance.features import Feature
from llmroute.conformance.policies import USERS, header, limit, per_user, route, rule, text
from llmroute.conformance.rows import STREAM, UNASKED, ok, passed, refused, reporting
from llmroute.conformance.upstream import Script

_TELLS: Final = frozenset({Feature.TELLS})
_REFUSES: Final = frozenset({Feature.REFUSALS})
_JSON: Final = {"content-type": "application/json"}
_PATHS: Final[Mapping[Api, tuple[str, Mapping[str, Any]]]] = {
    Api.OPENAI: (CHAT, {"usage": {"total_tokens": 10}}),
    Api.ANTHROPIC: ("/v1/messages", {"usage": {"input_tokens": 6, "output_tokens": 4}}),
    Api.GEMINI: ("/v1beta/models/gemini-2.5-flash:generateContent", {"usageMetadata": {"totalTokenCount": 10}}),
}
"""Of each API a path and an answer of 10 tokens there."""
THEIRS: Final[Mapping[str, Mapping[str, Any]]] = {
    "openai": {"error": {"message": "theirs", "type": "requests", "param": None, "code": "rate_limit_exceeded"}},
    "anthropic": {"type": "error", "error": {"type": "rate_limit_error", "message": "theirs"}},
    "gemini": {"error": {"code": 429, "message": "theirs", "status": "RESOURCE_EXHAUSTED"}},
}
"""The 429 of an upstream itself."""
_BY_CALL: Final = (
    ("anthropic", Feature.ANTHROPIC),
    ("gemini", Feature.GEMINI),
    ("openai-embeddings", Feature.EMBEDDINGS),
    ("openai-responses", Feature.RESPONSES),
    ("openai-responses", Feature.CACHED),  # of its prompts part was in the cache
)
"""Which API the calls need whose names begin so."""
TOTALS: Final[Mapping[str, int]] = {
    "openai-chat": 42,
    "openai-chat-stream": 42,
    "openai-embeddings": 8,
    "openai-responses": 60,
    "openai-responses-stream": 15,
    "anthropic": 18,
    "anthropic-stream": 18,
    "gemini": 14,
    "gemini-stream": 19,
}
"""What each call of ``sdks`` costs."""
_API: Final[Mapping[str, frozenset[Feature]]] = {
    call: frozenset(feature for start, feature in _BY_CALL if call.startswith(start)) for call in TOTALS
}
_contract = partial(Case, profile=Profile.CLIENT_CONTRACT)


def cases() -> Iterator[Case]:
    """All that a client is told."""
    yield from _refusals()
    yield from _remaining()
    yield from _theirs()
    yield from _sdks()


def _refusals() -> Iterator[Case]:
    mine = partial(
        _contract,
        proves="A refusal has the shape of the API that was called, and says how long to wait.",
        needs=_REFUSES,
    )
    for api, (path, body) in _PATHS.items():
        row = ok(reporting(body), 10, path=path)
        for how, asked in (("", {}), ("-stream", STREAM)):
            yield mine(f"refusal-{api}{how}", f"a refusal in the shape of {api}{how.replace('-', ', to a ')}", policy=per_user(10),
                       steps=(row, refused(path=path, body=asked)), sources=("N-14",))  # fmt: skip
    for unit in ("Minute", "Hour", "Day", "Week", "Month", "Year"):
        said = f"on tokens per {unit.lower()}: limit 10, used up. Please try again in "
        step = refused(says=said, told={"x-ratelimit-limit-tokens": "10"})
        yield mine(f"wait-{unit}", f"how long to wait for the end of a {unit.lower()}", policy=per_user(10, unit=unit), steps=(ok(10), step),
                   sources=("AG-05",))  # fmt: skip
    for kind in ("Prompt", "Completion"):
        steps = (ok((10, 10, 20), 10), refused(says=f"{kind.lower()} tokens"))
        yield mine(
            f"words-{kind}",
            f"the message says that {kind.lower()} tokens are used up",
            policy=per_user(10, token=kind),
            steps=steps,
        )
    steps = (ok(5, 1), refused(1, by="requests", says="on requests per day: limit 1"))
    yield mine(
        "words-requests", "the message says that requests are used up", policy=per_user(1, kind="Request"), steps=steps
    )
    of_model = (ok(10, model="gpt-4o"), refused(model="gpt-4o", says="Rate limit reached for gpt-4o on"))
    yield mine("words-model", "the message names the model", policy=per_user(10), steps=of_model)


def _remaining() -> Iterator[Case]:
    mine = partial(_contract, proves="An answer says what remained at its admission.", needs=_TELLS)
    none = {f"x-ratelimit-{what}": None for what in ("limit", "remaining", "reset")}
    for how, body in (("json", {}), ("stream", STREAM), ("unasked", UNASKED)):
        steps: tuple[Step, ...] = tuple(
            ok(10, left=left, body=body, told=none | {"x-ratelimit-limit-tokens": "30"}) for left in (30, 20, 10)
        )
        yield mine(f"remaining-{how}", f"30, 20, 10, then refused ({how})", policy=per_user(30), steps=(*steps, refused(body=body)),
                   sources=("AP-03",))  # fmt: skip
    policy = text(route(rule(limit(1000, unit="Day"), limit(30), headers=USERS)))
    steps = (ok(5, 5, 5, left=30), ok(5, 5, 5, left=25))
    yield mine("tightest-told", "of a day and an hour the tighter limit is told", policy=policy, steps=steps, subjects=(USER,) * 2,
               sources=("AG-05",))  # fmt: skip
    told: Mapping[str, str | None] = {"x-ratelimit-limit-requests": "3", "x-ratelimit-remaining-tokens": None}
    steps = (*[ok(5, 1, left=left, by="requests", told=told) for left in (2, 1, 0)], refused(1, by="requests"))
    yield mine(
        "requests-told", "a limit of requests is told in requests", policy=per_user(3, kind="Request"), steps=steps
    )
    elsewhere = text(route(rule(limit(5), headers=[header("x-user-id", "Exact", "somebody")])))
    silent = {f"x-ratelimit-{what}-tokens": None for what in ("limit", "remaining", "reset")}
    yield mine("nothing-told", "without a limit that matches nothing is told", policy=elsewhere, steps=(ok(5, told=silent),), subjects=(),
               sources=("HI-10",))  # fmt: skip
    own = {"x-ratelimit-limit-tokens": "9", "x-ratelimit-remaining-requests": "8", "x-ratelimit-remaining-tokens": "7"}
    ours = {
        "x-ratelimit-limit-tokens": "30",
        "x-ratelimit-remaining-tokens": "30",
        "x-ratelimit-remaining-requests": None,
    }
    yield mine("upstreams-own-limits", "the upstream's own headers of limits do not mix with the gateway's", policy=per_user(30),
               steps=(ok(Script(headers=own, usage={"total_tokens": 7}), 7, told=ours),))  # fmt: skip


def _theirs() -> Iterator[Case]:
    """An upstream's own 429."""
    for name, body in THEIRS.items():
        path, _ = _PATHS[Api(name)]
        script = Script(status=429, body=body, headers=_JSON | {"retry-after": "3", "x-ratelimit-limit-tokens": "77"})
        told = {"retry-after": "3", "x-ratelimit-limit-tokens": "77", "retry-after-ms": None, "x-should-retry": None}
        row = passed(429, script, path=path, gets=json.dumps(body, separators=(",", ":")).encode(), told=told)
        yield _contract(f"upstreams-429-{name}", f"an upstream's own 429 passes untouched: {name}", policy=per_user(1000), steps=(row, row),
                        proves="What the upstream refuses is the upstream's word.", needs=frozenset({Feature.TRANSPARENT}))  # fmt: skip


def _sdks() -> Iterator[Case]:
    """Each call of the SDKs: answered and charged; told to stop; told to wait."""
    for call, total in TOTALS.items():
        google = call.startswith("gemini")
        error = "ClientError" if google else "RateLimitError"
        answered = Ask(call, (200,), charges=(total,))
        yield _contract(f"sdk-{call}", f"{call}: answered and charged", policy=per_user(1_000_000), steps=(answered, answered),
                        proves="The SDK sees the upstream's answer, and the counter has it to the token.",
                        needs=_API[call] | {Feature.FORCED_USAGE})  # fmt: skip
        stop = Ask(call, (429,), raises=error)
        yield _contract(f"sdk-{call}-stops", f"{call}: a long wait stops the SDK at once", policy=per_user(5, unit="Year"), steps=(answered, stop),
                        proves="A client that would wait long is told not to.", needs=_API[call] | _REFUSES, sources=("N-14", "TZ-10"))  # fmt: skip
        waits = Ask(call, (429,) if google else (429, 429, 429), raises=error, waits=True)
        yield _contract(f"sdk-{call}-waits", f"{call}: a short wait is honoured", policy=per_user(5, unit="Minute"), steps=(answered, waits),
                        proves="Each retry sleeps what the answer before it said.", needs=_API[call] | _REFUSES, sources=("N-14",))  # fmt: skip
