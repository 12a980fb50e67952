"""What an answer is worth, by what the upstream knows of it: its script, and how much of it was written."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from llmroute.conformance.rows import PROMPT
from llmroute.conformance.upstream import SCRIPT_HEADER, Served
from llmroute.conformance.upstream.answer import plan
from llmroute.conformance.upstream.script import parse_script


@dataclass(frozen=True, slots=True)
class Owed:
    """Tokens. Of an answer whose usage was never written they are the estimate that docs/policy.md promises."""

    prompt: int
    completion: int
    total: int


NOTHING: Final = Owed(0, 0, 0)


def owed(served: Served) -> Owed:
    """Of one request. An error costs nothing, whatever it says of usage."""
    if served.status is None or served.status >= 400:
        return NOTHING
    body = _written(served)
    if not body.startswith(b"data:"):
        answer = json.loads(body)
        return _of_usage(answer["usage"]) if "usage" in answer else _estimate(-(-len(body) // 4))
    events = list(_events(body))
    reported = [event["usage"] for event in events if event.get("usage")]
    return _of_usage(reported[-1]) if reported else _estimate(sum(map(_says_something, events)))


def _written(served: Served) -> bytes:
    """The bytes of the answer that went out."""
    script = parse_script(served.header(SCRIPT_HEADER))
    pieces = plan(served.method, served.path, served.body, script).pieces
    return b"".join(piece.chunk.data for piece in pieces[: served.chunks])


def _of_usage(usage: Mapping[str, int]) -> Owed:
    return Owed(usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"])


def _estimate(completion: int) -> Owed:
    return Owed(PROMPT, completion, PROMPT + completion)


def _events(body: bytes) -> Iterator[dict[str, Any]]:
    for event in body.split(b"\n\n"):
        text = event.removeprefix(b"data: ")
        if text and text != b"[DONE]":
            yield json.loads(text)


def _says_something(event: Mapping[str, Any]) -> bool:
    return any(choice["delta"].get("content") for choice in event["choices"])
