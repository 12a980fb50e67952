"""The bound on request bodies on a real, plain Envoy: what is read, what passes unread, what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

from llmroute.conformance.adapters.plain import counter_of
from llmroute.conformance.upstream import ScriptedUpstream
from llmroute.local.gateway import serve
from llmroute.local.ratelimit_service import EmbeddedRateLimit
from llmroute.local.services import embedded
from llmroute.lower import BODY_LIMIT_BYTES
from llmroute.pipeline import compile_policies
from llmroute.plan import Endpoint, Plan
from llmroute.targets import ENVOY, capabilities
from tests.policies import MODEL, header, limit, route, rule, text

NOW = 1_700_000_000.0
POLICY = text(route(rule(limit(1000, "Request", "Day"), headers=[header(MODEL, "Distinct")])))
PATH = "/v1/chat/completions"
PIECE = 1 << 16


class Running:
    """A gateway with its upstream and its counters."""

    def __init__(self, url: str, upstream: ScriptedUpstream, plan: Plan, service: EmbeddedRateLimit) -> None:
        self.url, self.upstream, self.service = url, upstream, service
        self._plan = plan

    def counted(self) -> dict[str, int]:
        """Requests by model; nothing else may be counted."""
        names = {counter_of(self._plan, 0, (model,), NOW): model for model in ("m", "unknown")}
        return {names[key]: count for key, count in self.service.counters().items()}


@pytest.fixture(scope="module")
def gateway() -> Iterator[Running]:
    """One for all tests, which empty its counters."""
    services: list[EmbeddedRateLimit] = []
    with ScriptedUpstream() as upstream:
        there: dict[str | None, Endpoint] = {None: Endpoint("127.0.0.1", upstream.port)}
        plan = compile_policies([("policy.yaml", POLICY)], capabilities(ENVOY), stand_ins=there).plan
        with serve(plan, embedded(lambda: NOW, services.append)) as served:
            yield Running(served.url, upstream, plan, services[0])


def chat(size: int, head: str = '{"model":"m",') -> bytes:
    """A chat of exactly ``size`` bytes."""
    start, end = f'{head}"messages":[{{"role":"user","content":"'.encode(), b'"}]}'
    return start + b"x" * (size - len(start) - len(end)) + end


def in_pieces(body: bytes) -> Iterator[bytes]:
    """For a request that does not say its length."""
    return (body[at : at + PIECE] for at in range(0, len(body), PIECE))


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("size", [200_000, BODY_LIMIT_BYTES])
def test_a_body_up_to_the_bound_is_read(gateway: Running, size: int, chunked: bool) -> None:
    """To its last byte, whether it says its length or not, and it arrives whole."""
    gateway.service.reset()
    body = chat(size)
    assert len(body) == size
    answer = httpx.post(gateway.url + PATH, content=in_pieces(body) if chunked else body)
    assert (answer.status_code, gateway.counted()) == (200, {"m": 1})
    assert gateway.upstream.requests()[-1].body == body


def test_a_body_at_the_bound_may_grow(gateway: Running) -> None:
    """A stream is made to report its usage even where that makes the body longer than what is held."""
    gateway.service.reset()
    answer = httpx.post(gateway.url + PATH, content=chat(BODY_LIMIT_BYTES, '{"model":"m","stream":true,'))
    assert (answer.status_code, gateway.counted()) == (200, {"m": 1})
    sent = gateway.upstream.requests()[-1].body
    assert len(sent) > BODY_LIMIT_BYTES
    assert json.loads(sent)["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize("size", [BODY_LIMIT_BYTES + 1, 5 * BODY_LIMIT_BYTES])
def test_a_longer_body_passes_unread(gateway: Running, size: int) -> None:
    """It says its length, so the filter knows without holding it: its model is unknown, and it is counted."""
    gateway.service.reset()
    body = chat(size)
    answer = httpx.post(gateway.url + PATH, content=body)
    assert (answer.status_code, gateway.counted()) == (200, {"unknown": 1})
    assert gateway.upstream.requests()[-1].body == body


def test_a_longer_body_of_unknown_length_is_refused(gateway: Running) -> None:
    """Envoy holds as much as it may, then answers 413: the upstream sees nothing and nothing is counted."""
    gateway.service.reset()
    before = len(gateway.upstream.requests())
    answer = httpx.post(gateway.url + PATH, content=in_pieces(chat(BODY_LIMIT_BYTES + 4097)))
    assert (answer.status_code, gateway.counted()) == (413, {})
    assert len(gateway.upstream.requests()) == before
