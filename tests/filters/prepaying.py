"""A rate limit service that the filter asks to admit requests, and a route that has it do so."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final

from envoy.service.ratelimit.v3 import rls_pb2

from llmroute import names
from llmroute.render.lua import JSON
from tests.filters.proxy import CONTEXT, Engine, Message, Stream
from tests.filters.settling import ALL, MINI, USER, Key, framed, parsed

REQUESTS: Final[Key] = (("limit", "requests"),)
WEIGHTED: Final[Key] = (("limit", "weighted"),)
_ENTRIES: Final[dict[Key, list[JSON]]] = {
    key: [
        {"key": name, "header": name} if name == names.USER_HEADER else {"key": name, "value": value}
        for name, value in key
    ]
    for key in (USER, ALL, MINI, REQUESTS, WEIGHTED)
}
QUANTITIES: Final = {USER: 1000, ALL: 500, MINI: 100, REQUESTS: 3, WEIGHTED: 9000}
LIMITS: Final[JSON] = [
    {"check": 0, "of": 1, "due": "due_1", "key": "total_tokens", "paid": "paid_1", "match": [], "entries": _ENTRIES[USER]},
    {"check": 0, "of": 2, "due": "due_2", "key": "prompt_tokens", "paid": "paid_2", "match": [], "entries": _ENTRIES[ALL]},
    {
        "check": 0, "of": 3, "due": "due_3", "key": "completion_tokens", "paid": "paid_3",
        "match": [{"header": names.MODEL_HEADER, "value": "mini"}], "entries": _ENTRIES[MINI],
    },
    {"check": 1, "of": 4, "match": [], "entries": _ENTRIES[REQUESTS]},
    {"check": 0, "of": 5, "due": "due_5", "key": "cost_1", "paid": "paid_5", "match": [], "entries": _ENTRIES[WEIGHTED]},
]  # fmt: skip
PREPAY: Final[JSON] = {
    "header": names.PREPAID_HEADER,
    "cluster": "ratelimit",
    "domain": "team/route",
    "timeoutMs": 1000,
    "limits": LIMITS,
}
TOLD: Final[JSON] = [
    {"reported": 999, "window": 60, "kind": "tokens", "quantity": 1000, "unit": "minute"},
    {"reported": 499, "window": 60, "kind": "tokens", "quantity": 500, "unit": "minute", "what": "prompt tokens"},
    {"reported": 99, "window": 60, "kind": "tokens", "quantity": 100, "unit": "minute", "what": "completion tokens"},
    {"reported": 3, "window": 60, "kind": "requests", "quantity": 3, "unit": "minute"},
    {"reported": 8999, "window": 60, "kind": "tokens", "quantity": 9000, "unit": "minute", "what": "weighted tokens"},
]
COST: Final[JSON] = {
    "key": "cost_1", "scale": 10, "prompt": 5, "cachedPrompt": 5, "cacheWrite": 5, "completion": 20, "reasoning": 20,
}  # fmt: skip


@dataclass
class Service:
    """A rate limit service with ``counters``, and what was added to them, call by call."""

    counters: dict[Key, int] = field(default_factory=lambda: dict.fromkeys(QUANTITIES, 0))
    silent: frozenset[int] = frozenset()
    """Calls, from 0, that get no answer; they count all the same."""
    calls: list[dict[Key, int]] = field(default_factory=list)

    def __call__(
        self, cluster: str, headers: dict[str, str], body: bytes, timeout: int, asynchronous: bool
    ) -> tuple[dict[str, str], bytes | None]:
        """Counts what a call says, and answers like envoyproxy/ratelimit."""
        assert (cluster, headers[":authority"], timeout, asynchronous) == ("ratelimit", "ratelimit", 1000, False)
        request = parsed(body)
        assert request.domain == "team/route"
        hits = {tuple((e.key, e.value) for e in d.entries): d.hits_addend.value for d in request.descriptors}
        assert all(d.HasField("hits_addend") for d in request.descriptors)
        self.calls.append(hits)
        for key, number in hits.items():
            if key in self.counters:
                self.counters[key] += number
        statuses = [self._status(key) for key in hits]
        answer = rls_pb2.RateLimitResponse(overall_code=max(s.code for s in statuses), statuses=statuses)
        if len(self.calls) - 1 in self.silent:
            return {":status": "504"}, b"upstream request timeout"
        return {":status": "200"}, framed(answer)

    def _status(self, key: Key) -> Any:
        status = rls_pb2.RateLimitResponse.DescriptorStatus(code=1)
        if key in self.counters:
            most = QUANTITIES[key] - (key != REQUESTS)
            status.current_limit.requests_per_unit = most
            status.limit_remaining = max(0, most - self.counters[key])
            status.code = 2 if self.counters[key] > most else 1
            status.duration_until_reset.seconds = 17
        return status


def prepaying(engine: Engine, service: Service | None) -> Stream:
    """A stream of a route whose requests the filter admits."""
    assert isinstance(CONTEXT, dict)
    made = engine.stream({**CONTEXT, "limits": TOLD, "costs": [COST], "prepay": PREPAY})
    if service:
        made.serve(service)
    return made


def ask(stream: Stream, *headers: tuple[str, str], path: str = "/v1/chat/completions", model: str = "gpt") -> Message:
    """A request of Ada's with a prompt of 100 tokens."""
    body = json.dumps({"model": model, "messages": "x" * 398}).encode()
    return stream.request(body, [("x-user-id", "ada"), *headers], path=path)
