"""What happens when a part dies and comes back, on a plain Envoy with the real rate limit service.

The same holds for Envoy Gateway, which starts the same Envoy and the same service; its own restarts are
in ``test_gateway_faults.py``.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from e2e.client import wait_for
from e2e.parts import Parts, kill
from llmroute.conformance.upstream import ScriptedUpstream
from llmroute.local.valkey import ValkeyProcess
from llmroute.pipeline import compile_policies
from llmroute.plan import Endpoint
from llmroute.targets import ENVOY, capabilities
from tests.policies import header, limit, route, rule, text

pytestmark = pytest.mark.slow

TOKENS = 37
"""What the scripted upstream answers when nothing commands it."""
QUANTITY = 1_000_000
POLICY = text(route(rule(limit(QUANTITY, unit="Day"), headers=[header("x-user-id", "Distinct")])))


@pytest.fixture
def parts(request: pytest.FixtureRequest, ratelimit_binary: Path, tmp_path: Path) -> Iterator[Parts]:
    """Upstream and Redis with the policy; services and Envoys are added by the test."""
    with contextlib.ExitStack() as exits:
        upstream = exits.enter_context(ScriptedUpstream())
        stand_in: dict[str | None, Endpoint] = {None: Endpoint("127.0.0.1", upstream.port)}
        plan = compile_policies([("policy", POLICY)], capabilities(ENVOY), stand_ins=stand_in).plan
        persist = getattr(request, "param", False)
        valkey = exits.enter_context(ValkeyProcess(tmp_path / "valkey", persist=persist))
        yield Parts(tmp_path, ratelimit_binary, plan, upstream, valkey, exits=exits)


USER = "user-1"


def test_envoy_dies(parts: Parts) -> None:
    """Its counts are in Redis: the next Envoy goes on with them."""
    service = parts.add_ratelimit()
    envoy = parts.add_envoy(service)
    assert parts.ask(USER) == (200, True)
    assert parts.settled(USER, TOKENS) == TOKENS
    kill(envoy)
    envoy.start()
    assert parts.ask(USER) == (200, True)
    assert parts.settled(USER, 2 * TOKENS) == 2 * TOKENS


def test_the_service_dies_and_we_fail_closed(parts: Parts) -> None:
    """No request passes unmetered meanwhile; afterwards the counts go on."""
    service = parts.add_ratelimit()
    parts.add_envoy(service)
    assert parts.ask(USER) == (200, True)
    assert parts.settled(USER, TOKENS) == TOKENS
    kill(service)
    assert [parts.ask(USER) for _ in range(5)] == [(503, False)] * 5
    assert parts.used(USER) == TOKENS
    service.start()
    assert wait_for(lambda: parts.ask(USER)[0] == 200), "Envoy connects again"
    assert parts.settled(USER, 2 * TOKENS) == 2 * TOKENS


def test_the_service_dies_and_we_fail_open(parts: Parts) -> None:
    """Requests pass unmetered, as the user chose; afterwards they are metered again."""
    service = parts.add_ratelimit()
    parts.add_envoy(service, fail_closed=False)
    assert parts.ask(USER) == (200, True)
    assert parts.settled(USER, TOKENS) == TOKENS
    kill(service)
    assert [parts.ask(USER) for _ in range(5)] == [(200, True)] * 5
    assert parts.used(USER) == TOKENS
    service.start()
    before = len(parts.upstream.requests())
    assert wait_for(lambda: parts.ask(USER)[0] == 200 and parts.used(USER) > TOKENS)
    assert len(parts.upstream.requests()) > before


@pytest.mark.parametrize("parts", [True], indirect=True, ids=["persistent"])
def test_a_redis_that_writes_to_disk_keeps_its_counts(parts: Parts) -> None:
    """While it is away we fail closed; then every count is there."""
    service = parts.add_ratelimit()
    parts.add_envoy(service)
    assert parts.ask(USER) == (200, True)
    assert parts.settled(USER, TOKENS) == TOKENS
    kill(parts.valkey)
    assert [parts.ask(USER) for _ in range(3)] == [(503, False)] * 3
    parts.valkey.start()
    assert parts.used(USER) == TOKENS
    assert wait_for(lambda: parts.ask(USER)[0] == 200), "the service connects again"
    assert parts.settled(USER, 2 * TOKENS) == 2 * TOKENS


def test_a_redis_without_disk_forgets(parts: Parts) -> None:
    """While it is away we fail closed; then everybody begins at 0 (docs/operations.md says so)."""
    service = parts.add_ratelimit()
    parts.add_envoy(service)
    assert parts.ask(USER) == (200, True)
    assert parts.settled(USER, TOKENS) == TOKENS
    kill(parts.valkey)
    assert [parts.ask(USER) for _ in range(3)] == [(503, False)] * 3
    parts.valkey.start()
    assert parts.used(USER) == 0
    assert wait_for(lambda: parts.ask(USER)[0] == 200), "the service connects again"
    assert parts.settled(USER, TOKENS) == TOKENS


def test_a_redis_restart_loses_at_most_a_charge_for_each_connection(parts: Parts) -> None:
    """The service finds out that a connection is dead by failing one call on it: a check is refused, a charge is lost."""
    connections = 10
    service = parts.add_ratelimit(connections)
    parts.add_envoy(service)
    assert parts.ask(USER) == (200, True)
    assert parts.settled(USER, TOKENS) == TOKENS
    kill(parts.valkey)
    parts.valkey.start()
    answers = [parts.ask(USER) for _ in range(60)]
    assert {a for a in answers if a[0] != 200} <= {(503, False)}
    admitted = sum(status == 200 for status, _ in answers)
    lost = connections - (60 - admitted)
    assert lost >= 0, "a check that failed used up a connection too"
    assert parts.settled(USER, (admitted - lost) * TOKENS) >= (admitted - lost) * TOKENS
    assert parts.used(USER) <= admitted * TOKENS


def test_traffic_while_the_service_restarts(parts: Parts) -> None:
    """Four clients go on while it is killed and comes back.

    Every answer of 200 was charged, but for those whose charge was under way when the service died: at
    most one for each client. Nothing else reached the upstream.
    """
    clients = 4
    service = parts.add_ratelimit()
    parts.add_envoy(service)
    stop, passed, leaked = threading.Event(), [0] * clients, [0] * clients

    def drive(number: int) -> None:
        while not stop.is_set():
            status, served = parts.ask(USER)
            passed[number] += status == 200
            leaked[number] += served and status != 200

    threads = [threading.Thread(target=drive, args=(n,)) for n in range(clients)]
    for thread in threads:
        thread.start()
    try:
        assert wait_for(lambda: min(passed) >= 10)
        kill(service)
        failed_since = sum(passed)
        service.start()
        assert wait_for(lambda: sum(passed) >= failed_since + 20), "traffic flows again"
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    most, least = sum(passed) * TOKENS, (sum(passed) - clients) * TOKENS
    assert wait_for(lambda: parts.used(USER) >= least)
    assert least <= parts.used(USER) <= most
    assert sum(leaked) == 0


def test_two_envoys_and_two_services_on_one_redis_charge_the_sum(parts: Parts) -> None:
    """Driven together, to the token."""
    for _ in range(2):
        parts.add_envoy(parts.add_ratelimit())
    each, clients = 25, 4

    def drive(number: int) -> None:
        statuses.extend(parts.ask(USER, number % 2)[0] for _ in range(each))

    statuses: list[int] = []
    threads = [threading.Thread(target=drive, args=(n,)) for n in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * each * clients
    assert parts.settled(USER, each * clients * TOKENS) == each * clients * TOKENS


def test_nothing_passes_a_used_up_limit_of_two_envoys(parts: Parts) -> None:
    """What one Envoy's answers used up, the other refuses."""
    for _ in range(2):
        parts.add_envoy(parts.add_ratelimit())
    host, _, port = parts.valkey.address.rpartition(":")
    assert parts.ask(USER, 0) == (200, True)
    assert parts.settled(USER, TOKENS) == TOKENS
    with redis.Redis(host=host, port=int(port), socket_timeout=5, decode_responses=True) as client:
        (key,) = [str(k) for k in client.scan_iter(f"*_{USER}_*")]
        client.incrby(key, QUANTITY - TOKENS)
    assert parts.ask(USER, 1) == (429, False)
    assert parts.ask(USER, 0) == (429, False)
    assert parts.used(USER) == QUANTITY
