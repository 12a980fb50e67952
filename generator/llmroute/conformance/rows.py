"""Words for the steps of cases, so that traffic reads as a table: a row is a request and what comes of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from llmroute.conformance.case import CHAT, HELLO, REFUSED, Act, Api, Expect, Request, Seen, Send, Service
from llmroute.conformance.upstream import Chunk, Script

STREAM: Final = {"stream": True, "stream_options": {"include_usage": True}}
UNASKED: Final = {"stream": True}
SSE: Final = {"content-type": "text/event-stream"}
_JSON: Final = {"content-type": "application/json"}
CLAUDE: Final = "claude-sonnet-4-5"
MESSAGES: Final[Mapping[str, Any]] = {"path": "/v1/messages", "model": CLAUDE, "body": {"max_tokens": 64}}
"""Of a row: a request of Anthropic's API."""
PROMPT: Final = -(-len(json.dumps(list(HELLO))) // 4)
"""What the prompt of a row is estimated at."""

Reported = int | tuple[int, int, int] | Script
"""A total; prompt, completion and total; or all that the upstream does."""


def usage(total: int, prompt: int | None = None, completion: int | None = None) -> dict[str, Any]:
    """A usage object. The total is the sum, but where both parts are given."""
    prompt = total // 2 if prompt is None else prompt
    parts = {"prompt_tokens": prompt, "completion_tokens": total - prompt if completion is None else completion}
    return {**parts, "total_tokens": total}


def saying(answer: str = "x", **more: Any) -> dict[str, Any]:
    """A choice of a chat completion."""
    message = {"role": "assistant", "content": answer}
    return {"index": 0, "message": message, "finish_reason": "stop"} | more


def script_of(reports: Reported) -> Script:
    """What the upstream is told."""
    if isinstance(reports, Script):
        return reports
    if isinstance(reports, int):
        return Script(usage=usage(reports))
    prompt, completion, total = reports
    return Script(usage=usage(total, prompt, completion))


def _total(reports: Reported) -> int:
    if isinstance(reports, Script):
        raise TypeError("say what a script is charged")
    return reports if isinstance(reports, int) else reports[2]


_OF_REQUEST: Final = frozenset({"model", "user", "headers", "body", "path", "method", "whose", "length"})


def _row(reports: Reported, expect: Expect, more: dict[str, Any]) -> Send:
    asked = {name: more.pop(name) for name in _OF_REQUEST & set(more)}
    again = more.pop("again", False)
    if isinstance(headers := asked.get("headers"), Mapping):
        asked["headers"] = tuple(headers.items())
    return Send(Request(**asked), script_of(reports), replace(expect, **more), again)


def ok(reports: Reported, *charges: int, **more: Any) -> Send:
    """Admitted, served, and charged so much; the total to the one limit there is, where nothing is said.

    ``more`` are fields of the request and of what is expected, by their names.
    """
    return _row(reports, Expect((200,), charges=charges or (_total(reports),)), more)


def passed(status: int, script: Script, *charges: int, **more: Any) -> Send:
    """Admitted, and answered by the upstream with another status."""
    return _row(script, Expect((status,), charges=charges or (0,)), more)


def refused(*charges: int, reports: Reported = 1, **more: Any) -> Send:
    """429 of the gateway's. ``charges``: a limit of requests counts requests that another limit refuses, too."""
    shape = api_of(more.get("path", CHAT))
    return _row(reports, Expect((REFUSED,), reached=False, charges=charges, refusal=shape), more)


def denied(*statuses: int, **more: Any) -> Send:
    """Turned away before any limit was asked."""
    return _row(1, Expect(statuses, reached=False), more)


def api_of(path: str) -> Api:
    """Whose shape a refusal has on this path."""
    plain = path.partition("?")[0]
    if plain.endswith("/messages"):
        return Api.ANTHROPIC
    return Api.GEMINI if "/models/" in plain and ":" in plain else Api.OPENAI


def reporting(body: Mapping[str, Any]) -> Script:
    """An answer with this body, for APIs that the upstream does not know."""
    return Script(body=body, headers=_JSON)


def message(prompt: int, completion: int) -> Script:
    """An answer of Anthropic's API."""
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": CLAUDE, "stop_reason": "end_turn"}
    content = {"content": [{"type": "text", "text": "x"}], "stop_sequence": None}
    return reporting(head | content | {"usage": {"input_tokens": prompt, "output_tokens": completion}})


def pieces(*parts: bytes) -> Script:
    """A stream in exactly these pieces."""
    return Script(headers=SSE, chunks=tuple(Chunk(part) for part in parts))


def data(*events: Mapping[str, Any] | str) -> bytes:
    """Server-sent events, one after the other."""
    return b"".join(f"data: {e if isinstance(e, str) else json.dumps(e)}\n\n".encode() for e in events)


def streaming(*events: Mapping[str, Any] | str) -> Script:
    """A stream with these data, each in a piece of its own."""
    return pieces(*(data(each) for each in events))


def delta(text: str = "x", **more: Any) -> dict[str, Any]:
    """A chunk of a chat completion with one delta."""
    return {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": text}}]} | more


def asked_for_usage(**options: Any) -> Seen:
    """The upstream was asked for the usage of a stream, beside these options."""
    return Seen(fields={"stream_options": options | {"include_usage": True}})


def said(*pairs: tuple[str, str]) -> dict[str, Any]:
    """Of a row: exactly these headers, in order."""
    return {"headers": pairs}


KILL: Final = Service(Act.KILL)
START: Final = Service(Act.START)
FREEZE: Final = Service(Act.FREEZE)
THAW: Final = Service(Act.THAW)
