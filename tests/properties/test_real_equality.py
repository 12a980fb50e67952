"""The embedded rate limit service and the real one answer the same calls alike.

Both run on this machine's clock with windows of a day and more; an example that midnight (UTC) falls
into is thrown away.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import hypothesis.strategies as st
import pytest
import redis
from envoy.service.ratelimit.v3 import rls_pb2, rls_pb2_grpc
from hypothesis import assume, given, settings

from llmroute.local.ratelimit import RatelimitProcess
from llmroute.local.ratelimit_service import EmbeddedRateLimit
from llmroute.local.valkey import ValkeyProcess

CONFIG = """\
domain: ns/route
descriptors:
  - key: limit
    value: ns/route/0
    descriptors:
      - {key: user, rate_limit: {unit: day, requests_per_unit: 4, name: per user}}
      - {key: user, value: root, rate_limit: {unlimited: true}}
      - {key: user, value: "a*", rate_limit: {unit: week, requests_per_unit: 7}}
      - {key: user, value: "am*", rate_limit: {unit: week, requests_per_unit: 9}}
  - key: limit
    value: "1"
    rate_limit: {unit: MONTH, requests_per_unit: 0}
    descriptors:
      - {key: user, value: "x:y", rate_limit: {unit: year, requests_per_unit: 3}, shadow_mode: true}
      - {key: user, descriptors: [{key: model, value: "", rate_limit: {unit: day, requests_per_unit: 2}}]}
  - {key: limit_2, rate_limit: {unit: day, requests_per_unit: 4294967295}}
"""
DAY = 24 * 60 * 60
OVERRIDE_UNITS = (4, 5, 6, 7)
"""Day, month, year and week, in ``envoy.type.v3.RateLimitUnit``."""


@dataclass(frozen=True, repr=False)
class Services:
    """The two services, their stubs and their counters."""

    embedded: EmbeddedRateLimit
    ask_embedded: Any
    ask_real: Any
    redis: redis.Redis

    def reset(self) -> None:
        """Forget every count."""
        self.embedded.reset()
        self.redis.flushall()

    def real_counters(self) -> Mapping[str, int]:
        """What the real service counted."""
        keys: list[Any] = list(self.redis.scan_iter())
        values: list[Any] = [self.redis.get(key) for key in keys]
        return {key.decode(): int(value) for key, value in zip(keys, values, strict=True)}


@pytest.fixture(scope="module")
def services(ratelimit_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Both services on the same configuration."""
    config = tmp_path_factory.mktemp("config") / "ns.yaml"
    config.write_text(CONFIG)
    with (
        ValkeyProcess() as valkey,
        RatelimitProcess([config], valkey.address, binary=ratelimit_binary) as real,
        EmbeddedRateLimit([config]) as embedded,
        grpc.insecure_channel(real.address) as to_real,
        grpc.insecure_channel(embedded.address) as to_embedded,
        redis.Redis(host="127.0.0.1", port=int(valkey.address.rpartition(":")[2])) as client,
    ):
        yield Services(
            embedded,
            rls_pb2_grpc.RateLimitServiceStub(to_embedded).ShouldRateLimit,
            rls_pb2_grpc.RateLimitServiceStub(to_real).ShouldRateLimit,
            client,
        )


def entry(key: str, values: list[str]) -> st.SearchStrategy[tuple[str, str]]:
    """An entry of a descriptor."""
    return st.tuples(st.just(key), st.sampled_from(values))


LIMIT = entry("limit", ["ns/route/0", "1", "2", "9", ""])
USER = entry("user", ["amy", "ann", "root", "x:y", "", "ü ☃", "*", "b_b"])
MODEL = entry("model", ["", "m"])
ENTRIES = st.one_of(
    st.tuples(LIMIT, USER),
    st.tuples(LIMIT, USER, MODEL),
    st.tuples(LIMIT),
    st.lists(st.one_of(LIMIT, USER, MODEL), max_size=3).map(tuple),
)
HITS = st.none() | st.integers(0, 5) | st.sampled_from([0, 0, 1_000_000_000, 2**32])


@st.composite
def calls(draw: st.DrawFn) -> Any:
    """A check, a charge, or a mixture of both."""
    domain = draw(st.sampled_from(["ns/route"] * 9 + ["other", ""]))
    call = rls_pb2.RateLimitRequest(domain=domain, hits_addend=draw(st.integers(0, 3)))
    for entries in draw(st.lists(ENTRIES, min_size=0, max_size=4)):
        descriptor = call.descriptors.add()
        for key, value in entries:
            descriptor.entries.add(key=key, value=value)
        hits = draw(HITS)
        if hits is not None:
            descriptor.hits_addend.value = hits
        if draw(st.integers(0, 9)) == 0:
            descriptor.limit.requests_per_unit = draw(st.integers(0, 5))
            descriptor.limit.unit = draw(st.sampled_from(OVERRIDE_UNITS))
    return call


def answer(ask: Any, call: Any) -> Any:
    """Response or error, without the seconds until the reset: the clock may tick between two calls."""
    try:
        response = ask(call)
    except grpc.RpcError as error:
        return error.code(), error.details()
    resets = [status.duration_until_reset.seconds for status in response.statuses]
    for status in response.statuses:
        if status.HasField("duration_until_reset"):
            status.duration_until_reset.seconds = 0
    return response, resets


@settings(max_examples=150, deadline=None)
@given(st.lists(calls(), min_size=1, max_size=12))
def test_both_answer_and_count_alike(services: Services, traffic: list[Any]) -> None:
    """Codes, limits, remaining, resets and errors of every call, and every counter after all of them."""
    services.reset()
    day = int(time.time()) // DAY
    seen = [(answer(services.ask_embedded, call), answer(services.ask_real, call)) for call in traffic]
    counted = services.embedded.counters(), services.real_counters()
    assume(int(time.time()) // DAY == day)
    for (embedded, embedded_rest), (real, real_rest) in seen:
        assert embedded == real
        if isinstance(real_rest, list):
            assert all(abs(ours - theirs) <= 1 for ours, theirs in zip(embedded_rest, real_rest, strict=True))
        else:
            assert embedded_rest == real_rest
    assert counted[0] == counted[1]


def test_the_real_service_takes_a_refund_for_a_charge(services: Services) -> None:
    """It does not know ``is_negative_hits``: where refunds matter, it must not be asked for any."""
    services.reset()
    call = rls_pb2.RateLimitRequest(domain="ns/route")
    descriptor = call.descriptors.add()
    descriptor.entries.add(key="limit_2", value="x")
    descriptor.hits_addend.value = 5
    for ask in (services.ask_embedded, services.ask_real):
        ask(call)
    descriptor.MergeFromString(b"\x20\x01")  # is_negative_hits: true
    for ask in (services.ask_embedded, services.ask_real):
        ask(call)
    assert list(services.embedded.counters().values()) == [0]
    assert list(services.real_counters().values()) == [10]
