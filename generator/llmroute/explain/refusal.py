"""The 429 of a limit that is used up, as the filter writes it (``limits`` and ``errors`` of the Lua)."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from llmroute.emit.filter_context import filter_context, place_among_told
from llmroute.plan import Limit, Route

_STATUS: Final = 429
_RETRY_WITHIN: Final = 60
"""Seconds; a longer wait tells SDKs not to try again."""


class Api(enum.StrEnum):
    """Whose shape the body has; the filter tells it by the path."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    GEMINI = "gemini"


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer of the gateway's: ``headers`` by name, ``body`` as it goes over the wire."""

    status: int
    headers: Mapping[str, str]
    body: str


def refusal(route: Route, limit: Limit, model: str, reset: int, api: Api) -> Refusal | None:
    """What a client is told when ``limit`` refuses, ``reset`` seconds before its window ends; None for a shadow."""
    if limit.shadow:
        return None
    told = filter_context(route, {})["limits"][place_among_told(route, limit) - 1]
    wait = max(1, reset)
    headers = {
        f"x-ratelimit-limit-{told['kind']}": str(told["quantity"]),
        f"x-ratelimit-remaining-{told['kind']}": "0",
        f"x-ratelimit-reset-{told['kind']}": str(reset),
        "retry-after": str(wait),
        "retry-after-ms": str(wait * 1000),
        "content-type": "application/json",
    }
    if wait > _RETRY_WITHIN:
        headers["x-should-retry"] = "false"
    why = "too little left" if told.get("held") else "used up"
    of = f"{told.get('what', told['kind'])} per {told['unit']}: limit {told['quantity']}, {why}"
    message = f"Rate limit reached for {model} on {of}. Please try again in {wait}s."
    body = json.dumps(_body(api, message, told["kind"], wait), ensure_ascii=False, separators=(",", ":"))
    return Refusal(_STATUS, headers, body)


def _body(api: Api, message: str, kind: str, wait: int) -> dict[str, Any]:
    if api is Api.ANTHROPIC:
        return {"type": "error", "error": {"type": "rate_limit_error", "message": message}}
    if api is Api.GEMINI:
        retry = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{wait}s"}
        return {"error": {"code": _STATUS, "message": message, "status": "RESOURCE_EXHAUSTED", "details": [retry]}}
    return {"error": {"message": message, "type": kind, "param": None, "code": "rate_limit_exceeded"}}
