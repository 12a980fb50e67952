"""A rate limit service for the filter to charge, and a route whose answers it charges."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from envoy.service.ratelimit.v3 import rls_pb2

from llmroute import names
from llmroute.render.lua import JSON
from tests.filters.proxy import CONTEXT, JSON_ANSWER, Engine, Headers, Stream

Key = tuple[tuple[str, str], ...]
USER: Final[Key] = (("limit", "user"), ("x-user-id", "ada"))
ALL: Final[Key] = (("limit", "all"), ("all", "all"))
MINI: Final[Key] = (("limit", "mini"), ("model", "mini"))
QUANTITY: Final = 2**32 - 1
USAGE: Final = {"prompt_tokens": 30, "completion_tokens": 7, "total_tokens": 37}
LIMITS: Final[JSON] = [
    {
        "due": "due_1",
        "key": "total_tokens",
        "match": [],
        "entries": [{"key": "limit", "value": "user"}, {"key": "x-user-id", "header": "x-user-id"}],
    },
    {
        "due": "due_2",
        "key": "prompt_tokens",
        "match": [],
        "entries": [{"key": "limit", "value": "all"}, {"key": "all", "value": "all"}],
    },
    {
        "due": "due_4",
        "key": "completion_tokens",
        "match": [{"header": names.MODEL_HEADER, "value": "mini"}],
        "entries": [{"key": "limit", "value": "mini"}, {"key": "model", "value": "mini"}],
    },
]
SETTLE: Final[dict[str, JSON]] = {
    "cluster": "ratelimit",
    "domain": "team/route",
    "timeoutMs": 1000,
    "headers": ["x-user-id", names.MODEL_HEADER],
    "limits": LIMITS,
}
DUES: Final = ("due_1", "due_2", "due_4")
DONE: Final = b"data: [DONE]\n\n"


def event(**more: Any) -> bytes:
    """One event of a stream, with a choice unless told otherwise."""
    return b"data: " + json.dumps({"choices": [{"delta": {"content": "x"}}]} | more).encode() + b"\n\n"


def answer(**more: Any) -> bytes:
    """A JSON answer."""
    return json.dumps({"choices": [{"message": {"content": "hello"}}], "usage": USAGE} | more).encode()


@dataclass
class Service:
    """A rate limit service that knows ``counters``; ``late`` looks do not see yet what was charged before them."""

    counters: dict[Key, int] = field(default_factory=lambda: dict.fromkeys((USER, ALL, MINI), 0))
    reply: Callable[[bytes], tuple[dict[str, str], bytes | None]] | None = None
    """What to answer in place of the truth, to calls for which somebody waits."""
    late: int = 0
    charged: list[dict[Key, int]] = field(default_factory=list)
    looked: list[list[Key]] = field(default_factory=list)

    def __call__(
        self, cluster: str, headers: dict[str, str], body: bytes, timeout: int, asynchronous: bool
    ) -> tuple[dict[str, str], bytes | None]:
        """Answers a call, after looking at every byte of it."""
        assert (cluster, headers[":authority"]) == ("ratelimit", "ratelimit")
        assert headers[":method"] == "POST"
        assert headers[":path"] == "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit"
        assert (headers["content-type"], headers["te"]) == ("application/grpc", "trailers")
        assert timeout == (10_000 if asynchronous else 1000)
        request = parsed(body)
        assert request.domain == "team/route"
        keys = [tuple((e.key, e.value) for e in d.entries) for d in request.descriptors]
        hits = [d.hits_addend.value for d in request.descriptors]
        assert all(d.HasField("hits_addend") for d in request.descriptors), "without it a look would cost 1"
        if asynchronous:
            self.charged.append(dict(zip(keys, hits, strict=True)))
            return {}, None
        assert not any(hits)
        self.looked.append(keys)
        truth = framed(rls_pb2.RateLimitResponse(overall_code=1, statuses=[self._status(key) for key in keys]))
        return self.reply(truth) if self.reply else ({":status": "200"}, truth)

    def _status(self, key: Key) -> Any:
        if key not in self.counters:
            return rls_pb2.RateLimitResponse.DescriptorStatus(code=1)
        visible = self.charged if len(self.looked) > self.late + 1 else []
        used = self.counters[key] + sum(charge.get(key, 0) for charge in visible)
        status = rls_pb2.RateLimitResponse.DescriptorStatus(code=1, limit_remaining=max(0, QUANTITY - used))
        status.current_limit.requests_per_unit = QUANTITY
        status.duration_until_reset.seconds = 5
        return status


def parsed(frame: bytes) -> Any:
    """The request in a frame."""
    assert frame[0] == 0
    assert int.from_bytes(frame[1:5], "big") == len(frame) - 5
    return rls_pb2.RateLimitRequest.FromString(frame[5:])


def framed(message: Any) -> bytes:
    """A message in a frame."""
    content: bytes = message.SerializeToString()
    return b"\0" + len(content).to_bytes(4, "big") + content


def asked(
    engine: Engine,
    service: Service | None,
    *,
    model: str = "gpt",
    stream: bool = False,
    context: dict[str, JSON] | None = None,
) -> Stream:
    """A request that was admitted, of a route whose answers the filter charges."""
    assert isinstance(CONTEXT, dict)
    made = engine.stream({**CONTEXT, "settle": SETTLE, **(context or {})})
    if service:
        made.serve(service)
    made.request(json.dumps({"model": model, "messages": [], "stream": stream}).encode(), [("x-user-id", "ada")])
    return made


def dues(stream: Stream) -> tuple[Any, ...]:
    """What the proxy is to charge."""
    return tuple(stream.metadata.get(key) for key in DUES)


def sized(body: bytes, kind: Headers = JSON_ANSWER) -> Headers:
    """Headers of an answer that says how long it is."""
    return [*kind, ("content-length", str(len(body)))]
