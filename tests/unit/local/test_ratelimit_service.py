"""The embedded rate limit service, asked over gRPC as Envoy asks it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from envoy.service.ratelimit.v3 import rls_pb2, rls_pb2_grpc

from llmroute import names
from llmroute.limiter import ConfigError, Limiter, parse
from llmroute.local.errors import LocalError, StartError
from llmroute.local.ratelimit_service import EmbeddedRateLimit, _Servicer

CONFIG = """\
domain: d
descriptors:
  - {key: user, rate_limit: {unit: hour, requests_per_unit: 2, name: two}}
  - {key: free, rate_limit: {unlimited: true}}
"""
OK = rls_pb2.RateLimitResponse.OK
OVER_LIMIT = rls_pb2.RateLimitResponse.OVER_LIMIT
IS_NEGATIVE_HITS = b"\x20\x01"
"""Field 4, true: in Envoy 1.39's API, and not yet in xds-protos."""

Ask = Callable[[Any], Any]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration file."""
    file = tmp_path / "d.yaml"
    file.write_text(CONFIG)
    return file


@pytest.fixture
def service(config: Path) -> Iterator[EmbeddedRateLimit]:
    """A service whose clock stands ten seconds past the hour."""
    with EmbeddedRateLimit([config], lambda: 3610.0) as running:
        yield running


@pytest.fixture
def ask(service: EmbeddedRateLimit) -> Iterator[Ask]:
    """Its ShouldRateLimit."""
    with grpc.insecure_channel(service.address) as channel:
        yield rls_pb2_grpc.RateLimitServiceStub(channel).ShouldRateLimit


def request(key: str = "user", value: str = "amy", *, hits: int | None = None, call: int = 0) -> Any:
    """One descriptor of one entry."""
    message = rls_pb2.RateLimitRequest(domain="d", hits_addend=call)
    descriptor = message.descriptors.add()
    descriptor.entries.add(key=key, value=value)
    if hits is not None:
        descriptor.hits_addend.value = hits
    return message


def test_an_answer_has_all_that_the_real_service_says(ask: Ask) -> None:
    """Codes, the limit with its name, what remains, and the seconds until the reset."""
    assert ask(request()) == rls_pb2.RateLimitResponse(
        overall_code=OK,
        statuses=[
            {
                "code": OK,
                "current_limit": {"requests_per_unit": 2, "unit": "HOUR", "name": "two"},
                "limit_remaining": 1,
                "duration_until_reset": {"seconds": 3590},
            }
        ],
    )


def test_more_than_the_limit_is_over_limit(ask: Ask, service: EmbeddedRateLimit) -> None:
    """With the counter as the real service has it in Redis."""
    assert [ask(request()).overall_code for _ in range(3)] == [OK, OK, OVER_LIMIT]
    assert service.counters() == {"d_user_amy_3600": 3}


def test_one_status_over_the_limit_makes_the_answer_over_limit(ask: Ask) -> None:
    """Statuses stay in the order of the descriptors."""
    message = request("free", "x")
    message.MergeFrom(request(hits=3))
    message.MergeFrom(request("none", "x"))
    answer = ask(message)
    assert answer.overall_code == OVER_LIMIT
    assert [status.code for status in answer.statuses] == [OK, OVER_LIMIT, OK]
    assert [status.limit_remaining for status in answer.statuses] == [2**32 - 1, 0, 0]
    assert [status.HasField("current_limit") for status in answer.statuses] == [False, True, False]
    assert [status.HasField("duration_until_reset") for status in answer.statuses] == [False, True, False]


def test_hits_of_a_descriptor_go_before_those_of_the_call(ask: Ask, service: EmbeddedRateLimit) -> None:
    """0 included, which only asks."""
    ask(request(hits=0, call=7))
    assert service.counters() == {"d_user_amy_3600": 0}
    ask(request(call=7))
    assert service.counters() == {"d_user_amy_3600": 7}


def test_negative_hits_are_a_refund(ask: Ask, service: EmbeddedRateLimit) -> None:
    """As Envoy 1.39 sends them."""
    ask(request(hits=5))
    refund = request(hits=4)
    refund.descriptors[0].MergeFromString(IS_NEGATIVE_HITS)
    assert ask(refund).statuses[0].limit_remaining == 1
    assert service.counters() == {"d_user_amy_3600": 1}


def marked(message: Any, key: str, value: str, *, first: bool = False) -> Any:
    """The same with one entry more, which is no part of the limit."""
    descriptor = message.descriptors[0]
    entries = [(each.key, each.value) for each in descriptor.entries]
    entries.insert(0 if first else len(entries), (key, value))
    descriptor.ClearField("entries")
    for each in entries:
        descriptor.entries.add(key=each[0], value=each[1])
    return message


@pytest.mark.parametrize("first", [True, False])
def test_a_hold_says_when_it_was_counted(ask: Ask, service: EmbeddedRateLimit, first: bool) -> None:
    """As text, which is all that Envoy makes a descriptor of; its mark is no part of the counter's name."""
    answer = ask(marked(request(hits=2), names.HOLD_KEY, "yes", first=first))
    assert (answer.overall_code, dict(answer.dynamic_metadata)) == (OK, {names.HELD_AT: "3610"})
    answer = ask(marked(request(hits=1), names.HOLD_KEY, "yes", first=first))
    assert (answer.overall_code, answer.HasField("dynamic_metadata")) == (OVER_LIMIT, False)
    assert service.counters() == {"d_user_amy_3600": 2}


@pytest.mark.parametrize(("held_at", "left"), [("3610", 1), ("3600", 1), ("3599", 2), ("7200", 2)])
def test_what_was_held_is_given_back_to_its_window(
    ask: Ask, service: EmbeddedRateLimit, held_at: str, left: int
) -> None:
    """To no other one."""
    ask(marked(request(hits=2), names.HOLD_KEY, "yes"))
    refund = marked(request(hits=1), names.HELD_AT, held_at)
    refund.descriptors[0].MergeFromString(IS_NEGATIVE_HITS)
    ask(refund)
    assert service.counters() == {"d_user_amy_3600": left}


@pytest.mark.parametrize("held_at", ["", "-1", "now", "1.5"])
def test_a_time_that_is_none_is_an_error(ask: Ask, service: EmbeddedRateLimit, held_at: str) -> None:
    """And nothing is given back."""
    ask(request(hits=2))
    with pytest.raises(grpc.RpcError, match="must be Unix seconds"):
        ask(marked(request(hits=1), names.HELD_AT, held_at))
    assert service.counters() == {"d_user_amy_3600": 2}


class Gone:
    """The context of a call that nobody waits for any more."""

    def is_active(self) -> bool:
        """Say so."""
        return False


def test_who_waits_no_longer_holds_nothing(config: Path) -> None:
    """A hold that is counted after its caller has given up is taken back; a charge is not."""
    limiter = Limiter([parse(config.read_text(), "d.yaml")], lambda: 3610.0)
    servicer = _Servicer(limiter)
    for message in (marked(request(value="held", hits=2), names.HOLD_KEY, "yes"), request(value="charged", hits=2)):
        assert servicer.ShouldRateLimit(message, Gone()).overall_code == OK
    assert limiter.counters() == {"d_user_held_3600": 0, "d_user_charged_3600": 2}


def test_an_override_of_envoy_is_the_limit(ask: Ask) -> None:
    """Also for a key that the configuration does not have."""
    message = request("other", "x", hits=2)
    message.descriptors[0].limit.requests_per_unit = 1
    message.descriptors[0].limit.unit = 4  # a day
    answer = ask(message)
    assert answer.overall_code == OVER_LIMIT
    limit = answer.statuses[0].current_limit
    assert (limit.requests_per_unit, limit.unit) == (1, rls_pb2.RateLimitResponse.RateLimit.DAY)


@pytest.mark.parametrize("message", [rls_pb2.RateLimitRequest(domain="d"), rls_pb2.RateLimitRequest()])
def test_a_call_that_makes_no_sense_is_an_error(ask: Ask, message: Any) -> None:
    """Then Envoy does what its failure mode says."""
    with pytest.raises(grpc.RpcError) as caught:
        ask(message)
    assert isinstance(caught.value, grpc.Call)
    assert caught.value.code() == grpc.StatusCode.UNKNOWN
    assert "must not be empty" in str(caught.value.details())


def test_reset_forgets_every_count(ask: Ask, service: EmbeddedRateLimit) -> None:
    """For tests that share it."""
    ask(request())
    service.reset()
    assert service.counters() == {}


def test_an_address_that_is_taken_is_one_clear_error(config: Path, service: EmbeddedRateLimit) -> None:
    """Two services on one port would each see half of the calls."""
    port = int(service.address.rpartition(":")[2])
    with pytest.raises(StartError, match=f"cannot listen on 127.0.0.1:{port}: it is in use"):
        EmbeddedRateLimit([config], port=port).start()
    with pytest.raises(StartError, match=r"cannot listen on no-such-host\.invalid:0: "):
        EmbeddedRateLimit([config], host="no-such-host.invalid").start()


def test_after_the_block_nothing_listens(config: Path) -> None:
    """The port is free for the next one, and the object can be started again."""
    service = EmbeddedRateLimit([config])
    with service:
        port = int(service.address.rpartition(":")[2])
        with pytest.raises(LocalError, match="running already"):
            service.start()
    with pytest.raises(LocalError, match="is not running"):
        _ = service.address
    with EmbeddedRateLimit([config], port=port) as next_one:
        assert next_one.address.endswith(f":{port}")
    with service:
        assert service.address


@pytest.mark.parametrize("content", [None, b"\xff", b"domain: d\nlimits: []"])
def test_a_file_that_cannot_be_served_is_refused_before_anything_starts(content: bytes | None, tmp_path: Path) -> None:
    """Missing, not UTF-8, or not a configuration; the file is named."""
    file = tmp_path / "bad.yaml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"bad\.yaml"):
        EmbeddedRateLimit([file])


def test_the_module_does_not_load_grpc() -> None:
    """Commands that serve nothing should not pay for it."""
    code = "import sys, llmroute.local.ratelimit_service; sys.exit('grpc' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
