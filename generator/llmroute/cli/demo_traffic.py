"""The demo's traffic: who asks for what, and what came of it, as plain values."""

from __future__ import annotations

import http
import http.client
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from llmroute import names

QUANTITY: Final = 100
"""Tokens; as in ``data/demo.yaml``."""
_TIMEOUT: Final = 10.0
_LIMITED: Final = "demo-model"
_FREE: Final = "other-model"
_REQUESTS: Final = (
    ("alice", _LIMITED, False),
    ("alice", _LIMITED, True),
    ("alice", _LIMITED, False),
    ("alice", _LIMITED, False),
    ("bob", _LIMITED, False),
    ("alice", _FREE, False),
)


class Counters(Protocol):
    """The rate limit service's counters by key."""

    def counters(self) -> Mapping[str, int]:
        """Hits by counter key."""
        ...


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request. ``used``: tokens on its counter afterwards, None where no limit counts it."""

    user: str
    model: str
    streamed: bool
    status: int
    tokens: int
    used: int | None
    message: str

    @property
    def refused(self) -> bool:
        """Whether the gateway refused it."""
        return self.status == http.HTTPStatus.TOO_MANY_REQUESTS

    def record(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self)


def drive(url: str, service: Counters) -> Iterator[Exchange]:
    """Send the demo's requests to ``url``, one after the other, each once the last one is charged."""
    expected: dict[str, int] = {}
    for user, model, streamed in _REQUESTS:
        status, text = _ask(url, user, model, streamed=streamed)
        tokens, message = (_tokens(text), "") if status == http.HTTPStatus.OK else (0, _message(text))
        used = None
        if model == _LIMITED:
            expected[user] = expected.get(user, 0) + tokens
            used = _settled(service, user, expected[user])
        yield Exchange(user, model, streamed, status, tokens, used, message)


def _ask(url: str, user: str, model: str, *, streamed: bool) -> tuple[int, str]:
    body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": "why is open source important?"}]}
    if streamed:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=_TIMEOUT)
    try:
        headers = {"content-type": "application/json", names.USER_HEADER: user}
        connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def _tokens(text: str) -> int:
    """``usage.total_tokens`` of a JSON answer, or of the last event of a stream that has it."""
    events = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: {")] or [text]
    usages = [json.loads(event).get("usage") for event in events]
    return int(next(u for u in reversed(usages) if u)["total_tokens"])


def _message(text: str) -> str:
    try:
        return str(json.loads(text)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return text


def _settled(service: Counters, user: str, expected: int) -> int:
    """The user's counter, once it shows ``expected`` tokens: a charge lands just after its answer (PLATFORM 2.20)."""
    deadline = time.monotonic() + _TIMEOUT
    while True:
        used = sum(v for key, v in service.counters().items() if f"_{names.USER_HEADER}_{user}_" in key)
        if used >= expected or time.monotonic() > deadline:
            return used
        time.sleep(0.001)
