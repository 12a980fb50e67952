"""What came, next to what had to come: one record for each thing that a step looks at. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from llmroute import names
from llmroute.conformance.case import Api, Expect, Seen
from llmroute.conformance.exchange import Answer
from llmroute.conformance.features import Feature
from llmroute.conformance.upstream import Served

_SHOWN: Final = 300
"""Bytes of a body that a report shows."""
_SHORT: Final = 40
"""Bytes that are shown also where they are as they must be."""
_LONG: Final = 60
"""Seconds of a wait beyond which a client is told not to retry."""
_LONGEST: Final = 366 * 24 * 60 * 60
_ABSENT: Final = "absent"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at. Both values are numbers, text or true and false."""

    what: str
    expected: Any
    observed: Any

    @property
    def ok(self) -> bool:
        """Whether they are the same."""
        return bool(self.expected == self.observed)


def of_answer(answer: Answer, expect: Expect, features: frozenset[Feature]) -> Iterator[Check]:
    """What an answer must say, as far as the gateway says such things at all."""
    yield of_status(answer.status, expect.statuses)
    yield Check("reached the upstream", expect.reached, answer.served is not None)
    if expect.left is not None and Feature.TELLS in features:
        yield Check(
            f"x-ratelimit-remaining-{expect.by}", str(expect.left), answer.header(f"x-ratelimit-remaining-{expect.by}")
        )
    if expect.refusal and Feature.REFUSALS in features and answer.status == 429:
        yield from _refusal(answer, expect)
    if expect.says:
        found = expect.says.encode() in answer.body
        yield Check("the body says", expect.says, expect.says if found else shown(answer.body))
    if expect.gets is not None and Feature.TRANSPARENT in features:
        yield of_bytes("the body", expect.gets, answer.body)
    for name, value in expect.told.items():
        yield Check(name, _ABSENT if value is None else value, answer.header(name) or _ABSENT)
    if answer.served is not None:
        yield from of_upstream(answer.served, expect.upstream, features)


def of_status(status: int, statuses: tuple[int, ...]) -> Check:
    """A status: where several will do, the one that came."""
    return Check("status", status if status in statuses else statuses[0], status)


def of_bytes(what: str, expected: bytes, observed: bytes) -> Check:
    """Bytes, told by their number where they are the same and many, and by where they part where not."""
    if expected == observed:
        same = shown(expected) if len(expected) <= _SHORT else f"{len(expected)} bytes, as they must be"
        return Check(what, same, same)
    at = next((n for n, (a, b) in enumerate(zip(expected, observed, strict=False)) if a != b), None)
    at = min(len(expected), len(observed)) if at is None else at
    start = max(0, at - 20)
    where = f"from byte {at} of"
    return Check(
        what,
        f"{where} {len(expected)}: {shown(expected[start:])}",
        f"{where} {len(observed)}: {shown(observed[start:])}",
    )


def of_upstream(served: Served, seen: Seen, features: frozenset[Feature]) -> Iterator[Check]:
    """What the upstream got, as far as the gateway passes on what it got itself."""
    if seen.body is not None and Feature.TRANSPARENT in features:
        yield of_bytes("the upstream's body", seen.body, served.body)
    if seen.model is not None and Feature.MODEL_HEADER in features:
        models = [value for name, value in served.headers if name.lower() == names.MODEL_HEADER]
        yield Check("the upstream's model header", seen.model, ", ".join(models) or _ABSENT)
    if seen.path is not None and Feature.TRANSPARENT in features:
        yield Check("the upstream's path", seen.path, served.path)
    for name, expected in seen.headers.items():
        yield Check(f"the upstream's {name}", expected or _ABSENT, served.header(name) or _ABSENT)
    if seen.fields:
        body = _object(served.body)
        for name, expected in seen.fields.items():
            yield Check(f"the upstream's {name}", compact(expected), compact(body.get(name)))


def _refusal(answer: Answer, expect: Expect) -> Iterator[Check]:
    """A refusal of the gateway's own: its shape, and what it says of the wait."""
    yield Check("content-type", "application/json", answer.header("content-type"))
    kind = f"x-ratelimit-remaining-{expect.by}"
    yield Check(kind, "0", answer.header(kind))
    wait = answer.header("retry-after") or ""
    seconds = int(wait) if wait.isdecimal() else 0
    told = f"1 to {_LONGEST} seconds"
    yield Check("retry-after", told, told if 1 <= seconds <= _LONGEST else wait or _ABSENT)
    same = "as retry-after"
    milliseconds = answer.header("retry-after-ms")
    yield Check("retry-after-ms", same, same if milliseconds == str(seconds * 1000) else milliseconds or _ABSENT)
    stop = answer.header("x-should-retry")
    meant = "false" if seconds > _LONG else None
    fits = "false where the wait is over 60 s"
    yield Check("x-should-retry", fits, fits if stop == meant else stop or _ABSENT)
    for what, value in _shape(answer.json(), expect).items():
        expected = _told(expect)[what]
        yield Check(what, expected, value)


def _told(expect: Expect) -> dict[str, Any]:
    if expect.refusal is Api.ANTHROPIC:
        return {"type": "error", "error.type": "rate_limit_error", "error.message": True}
    if expect.refusal is Api.GEMINI:
        return {"error.code": 429, "error.status": "RESOURCE_EXHAUSTED", "error.message": True}
    return {"error.type": expect.by, "error.param": None, "error.code": "rate_limit_exceeded", "error.message": True}


def _shape(body: Any, expect: Expect) -> dict[str, Any]:
    """What of the body an SDK reads; of the message whether there is one."""
    found = {}
    for place in _told(expect):
        value = body
        for key in place.split("."):
            value = value.get(key, _ABSENT) if isinstance(value, dict) else _ABSENT
        found[place] = bool(value) if place.endswith("message") and value != _ABSENT else value
    return found


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def compact(value: Any) -> str:
    """JSON in a line, its keys in order."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def shown(body: bytes) -> str:
    """A body as a report shows it: its beginning, as text where it is text."""
    start = body[:_SHOWN].decode("utf-8", "backslashreplace")
    return start if len(body) <= _SHOWN else f"{start}… ({len(body)} bytes)"
