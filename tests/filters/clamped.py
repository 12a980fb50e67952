"""A request through a route with ``admission.maxTokens``, for the tests of the clamp."""

from __future__ import annotations

from typing import Final

from llmroute.render.lua import JSON
from tests.filters.proxy import CONTEXT, Engine

CHAT: Final = "/v1/chat/completions"
MESSAGES: Final = "/v1/messages"
GEMINI: Final = "/v1beta/models/g:generateContent"


def context(most: JSON = 100) -> JSON:
    """The context of a route with this clamp."""
    assert isinstance(CONTEXT, dict)
    return {**CONTEXT, "maxTokens": most}


def sent(engine: Engine, path: str, body: str, most: JSON = 100) -> str:
    """The body that the upstream gets; its length is what the header says."""
    stream = engine.stream(context(most))
    message = stream.request(body.encode(), path=path)
    assert stream.logs == []
    assert message.header("content-length") == str(len(message.body))
    assert "forced_usage" not in stream.metadata
    return message.body.decode()
