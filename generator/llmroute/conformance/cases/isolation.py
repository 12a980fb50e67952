"""Isolation: tricks that must not get past a used-up limit, nor open a second counter."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Final

from llmroute import names
from llmroute.conformance.case import HELLO, MODEL, Case, Counted, Profile, Seen, Step, Subject
from llmroute.conformance.features import Feature
from llmroute.conformance.policies import USERS, header, limit, per_user, route, rule, text
from llmroute.conformance.rows import ok, refused, said

_OF_MODEL: Final = text(
    route(rule(limit(10, unit="Day"), headers=[header(names.MODEL_HEADER, "Exact", MODEL), *USERS]))
)
_LONG: Final = [{"role": "user", "content": 'x\\ "y" {}[]' * 20_000}]
_PLAIN: Final = json.dumps({"model": MODEL, "messages": HELLO}).encode()
_ASKS: Final = b'"messages":' + json.dumps(HELLO).encode()
SAME_MODEL: Final[Mapping[str, bytes]] = {
    "repeated": b'{"model":"free",%b,"model":"gpt-4o-mini"}' % _ASKS,
    "nested-before": b'{"messages":[{"role":"user","content":"hello","model":"free"}],"model":"gpt-4o-mini"}',
    "nested-after": b'{"model":"gpt-4o-mini",%b,"metadata":{"model":"free"}}' % _ASKS,
    "escaped-key": b'{"mod\\u0065l":"gpt-4o-mini",%b}' % _ASKS,
    "escaped-repeat": b'{"model":"free",%b,"\\u006dodel":"gpt-4o-mini"}' % _ASKS,
    "escaped-value": b'{"model":"gpt-4o-\\u006dini",%b}' % _ASKS,
    "in-a-string": b'{"a":"\\"model\\":\\"free\\"","model":"gpt-4o-mini",%b}' % _ASKS,
    "spaces": b' \r\n\t{ "model" \n:\t"gpt-4o-mini" , %b } ' % _ASKS,
    "after-200-KB": json.dumps({"messages": _LONG, "model": MODEL}).encode(),
    "key-as-value": json.dumps({"messages": _LONG, "user": "model", "model": MODEL}).encode(),
}
"""Bodies whose model is ``MODEL``, for whoever reads them as an upstream does."""
UNREADABLE: Final[Mapping[str, bytes]] = {
    "empty": b"",
    "no-json": b"no JSON",
    "array": b"[]",
    "number": b'{"model":1}',
    "null": b'{"model":null}',
    "cut-off": b'{"model":"gpt-4o-mini"',
    "line-end": b'{"model":"a\\nb"}',
}
"""Bodies whose model cannot be read."""
NOBODY: Final[Mapping[str, str | None]] = {"missing": None, "empty": "", "space": " ", "tab": "\t", "no-UTF-8": "\xff"}
"""User headers that name nobody."""
PADS: Final[Mapping[str, str]] = {"after": "{user} ", "before": " {user}", "tabs": "\t{user}\t"}
SPELLINGS: Final[Mapping[str, str]] = {
    "query": "/v1/chat/completions?x=1",
    "slashes": "/v1//chat/completions",
    "dot": "/v1/chat/./completions",
    "prefix": "/openai/v1/chat/completions",
}
_NOBODY: Final[Subject] = ("nobody",)
_SPENT: Final = ok(10)
_isolated = partial(Case, profile=Profile.ISOLATION)


def cases() -> Iterator[Case]:
    """All about tricks."""
    yield from _models()
    yield from _users()
    yield from _headers()


def _models() -> Iterator[Case]:
    mine = partial(
        _isolated,
        policy=_OF_MODEL,
        proves="The model that is counted is the one that the upstream reads.",
        sources=("N-12",),
    )
    for name, body in SAME_MODEL.items():
        yield mine(f"model-{name}", f"the model is read as the upstream reads it: {name.replace('-', ' ')}",
                   steps=(_SPENT, refused(body=body)))  # fmt: skip
    for name, spelled in (("", names.MODEL_HEADER), ("-in-capitals", names.MODEL_HEADER.upper())):
        forged = said((spelled, "free"), (spelled, "freer"))
        yield mine(f"model-header{name}", "a client cannot name its model in the header, however often",
                   steps=(_SPENT, refused(body=_PLAIN, **forged)))  # fmt: skip
    told = ok(1, upstream=Seen(model=MODEL), **said((names.MODEL_HEADER, "free")))
    yield mine(
        "model-told",
        "the upstream is told the model of the body",
        steps=(told,),
        needs=frozenset({Feature.MODEL_HEADER}),
    )
    unknown = header(names.MODEL_HEADER, "Exact", names.UNKNOWN)
    policy = text(route(rule(limit(100, unit="Day"), headers=[unknown, *USERS])))
    for name, body in UNREADABLE.items():
        yield _isolated(f"unreadable-{name}", f"a model that cannot be read is unknown: {name.replace('-', ' ')}", policy=policy,
                        steps=(ok(37, body=body, upstream=Seen(body=body)),), proves="Nothing skips a rule by being unreadable.",
                        sources=("WS-31",))  # fmt: skip


def _users() -> Iterator[Case]:
    mine = partial(_isolated, policy=per_user(10), proves="Nobody is skipped, and nobody is two.")
    for name, value in NOBODY.items():
        sent = {} if value is None else said((names.USER_HEADER, value))
        steps: tuple[Step, ...] = tuple(
            step(user=None, whose={"nobody": names.ANONYMOUS}, **sent) for step in (partial(ok, 10), refused)
        )
        steps += (refused(user=None, whose={"nobody": names.ANONYMOUS}),)
        yield mine(f"nobody-{name}", f"without a user there is one user: {name}", steps=steps, subjects=(_NOBODY,))
    for name, padded in PADS.items():
        yield mine(f"padded-{name}", f"blanks around a user are no other user: {name}",
                   steps=(_SPENT, refused(**said((names.USER_HEADER, padded)))))  # fmt: skip
    twice = said((names.USER_HEADER, "{user}"), (names.USER_HEADER, "somebody-else-{user}"))
    both = Counted(0, ("{user},somebody-else-{user}",), 0)
    yield mine(
        "user-twice", "a user sent twice is the first", steps=(_SPENT, refused(whose={"user": "{user}"}, **twice), both)
    )
    yield mine(
        "user-in-capitals",
        "the name of the header counts in any case",
        steps=(_SPENT, refused(**said(("X-User-Id", "{user}")))),
    )
    other = ok(10, user="victim")
    yield mine(
        "stranger", "a used-up user leaves others alone", steps=(_SPENT, refused(), other, refused(user="victim"))
    )


def _headers() -> Iterator[Case]:
    mine = partial(_isolated, proves="Nothing skips a rule by leaving something out, and nothing of ours is believed.")
    policy = text(route(rule(limit(10, unit="Day"), headers=[header("X-Org", "Distinct")])))
    steps = (ok(10), refused(), ok(10, **said(("x-org", "{user}"))))
    yield mine("header-left-out", "another selected header is never left out", policy=policy, steps=steps, subjects=(("x-org",),),
               sources=("AP-13",))  # fmt: skip
    forged = said(
        ("x-ratelimit-remaining-tokens", "1000"), ("x-ratelimit-limit", "1000"), ("x-envoy-ratelimited", "false")
    )
    yield mine(
        "forged-limits",
        "headers of limits in a request mean nothing",
        policy=per_user(10),
        steps=(_SPENT, refused(**forged)),
    )
    hops = said(("x-forwarded-for", "203.0.113.7"), ("x-real-ip", "203.0.113.8"), ("forwarded", "for=203.0.113.9"))
    yield mine("feigned-address", "a feigned address opens no second counter", policy=per_user(10), steps=(_SPENT, refused(**hops)),
               sources=("PX-06",))  # fmt: skip
    for name, path in SPELLINGS.items():
        needs = frozenset() if name == "query" else frozenset({Feature.ANY_REQUEST})
        yield mine(f"path-{name}", f"another spelling of the path is the same limit: {path}", policy=per_user(10),
                   steps=(_SPENT, refused(path=path)), needs=needs)  # fmt: skip
    for method in ("GET", "PUT", "DELETE"):
        yield mine(f"method-{method}", f"{method} is refused by a used-up limit, too", policy=per_user(10),
                   steps=(_SPENT, refused(method=method, body=b"")), needs=frozenset({Feature.ANY_REQUEST}))  # fmt: skip
    upgrade = said(("connection", "upgrade"), ("upgrade", "websocket"), ("sec-websocket-version", "13"),
                   ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="))  # fmt: skip
    yield mine("N-15", "a used-up limit refuses an upgrade as a plain 429", policy=per_user(10), sources=("N-15",),
               steps=(_SPENT, refused(method="GET", path=f"/v1/realtime?model={MODEL}", body=b"", **upgrade)),
               needs=frozenset({Feature.UPGRADES}))  # fmt: skip
