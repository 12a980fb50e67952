"""``settle: Sync`` when the rate limit service fails in the middle of it: every answer is charged once all the same.

On a plain Envoy with the embedded service, and between them one that fails call by call as a test says.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import pytest

from e2e.between import (
    Between,
    Call,
    Caller,
    Conduct,
    between,
    fails,
    hangs,
    is_overtaken,
    knows_no_limit,
    waits_for_the_charge,
)
from e2e.capability import lacking
from e2e.client import wait_for
from e2e.overtake import DONE, TOKENS, request, wires
from e2e.test_settle import LAST, SSE, policy
from llmroute.conformance.adapters.plain import counter_of, plain_plan
from llmroute.conformance.upstream import Break, Chunk, Script, ScriptedUpstream
from llmroute.local import services
from llmroute.local.envoy import envoy_binary
from llmroute.local.errors import MissingTool
from llmroute.local.gateway import serve
from llmroute.local.ratelimit_service import EmbeddedRateLimit
from llmroute.plan import Plan

PATIENCE: Final = 1.0
"""Seconds that the filter waits for an answer of the service."""
BY_FILTER: Final = [(Caller.CHARGING, TOKENS)]
BY_PROXY: Final = [(Caller.PROXY, TOKENS)]


@dataclass
class Scene:
    """A gateway, and its service. Each test has a user of its own."""

    url: str
    plan: Plan
    upstream: ScriptedUpstream
    now: float
    service: Between
    embedded: EmbeddedRateLimit
    users: int = 0

    @property
    def user(self) -> str:
        """Whom the test is about."""
        return f"user-{self.users}"

    def used(self) -> int:
        """The user's counter."""
        return self.embedded.counters().get(counter_of(self.plan, 0, [self.user], self.now), 0)

    def settled(self) -> int:
        """The counter, once the proxy has made its last call of the answer and a charge has come."""
        self.service.wait_for(Call.END, answered=True)
        wait_for(lambda: self.used() > 0)
        return self.used()


@pytest.fixture(scope="module")
def gateway(request: pytest.FixtureRequest) -> Iterator[Scene]:
    """One for all tests."""
    if request.config.getoption("--stack") != "local":
        pytest.skip("the service is made to fail behind a plain Envoy on this machine: --stack local")
    try:
        envoy_binary()
    except MissingTool as missing:
        lacking(request.config, missing)
    now, embedded, service = time.time(), list[EmbeddedRateLimit](), list[Between]()
    with ScriptedUpstream() as upstream:
        plan = plain_plan(policy(), upstream.port)
        behind = services.embedded(lambda: now, embedded.append)
        with serve(plan, between(behind, service.append)) as running:
            yield Scene(running.url, plan, upstream, now, service[0], embedded[0])


@pytest.fixture
def scene(gateway: Scene) -> Iterator[Scene]:
    """With a fresh user; hung calls end with the test."""
    gateway.users += 1
    gateway.service.plan(gateway.user)
    yield gateway
    gateway.service.released.set()


def ask(scene: Scene, *, stream: bool = False) -> int:
    """One answer, read to its end."""
    with wires(scene.url, 1) as (wire,):
        wire.send(request(scene.user, stream=stream))
        return wire.read_to_end()


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
def test_the_calls_of_one_answer(scene: Scene, stream: bool) -> None:
    """A look, the charge and a look by the filter, before the end of the answer; then the proxy charges nothing."""
    assert ask(scene, stream=stream) == 200
    assert scene.used() == TOKENS, "who has read the answer has paid"
    assert scene.service.looks() >= 2
    assert scene.settled() == TOKENS
    assert scene.service.charged == BY_FILTER


@pytest.mark.parametrize("conduct", [fails, knows_no_limit], ids=["an-error", "no-limit"])
def test_without_confirmation_the_proxy_charges(scene: Scene, conduct: Conduct) -> None:
    """The filter looks once and sends no charge; the proxy charges when the stream is done."""
    scene.service.plan(scene.user, {Call.LOOK: conduct})
    assert ask(scene) == 200
    assert scene.settled() == TOKENS
    assert (scene.service.charged, scene.service.looks()) == (BY_PROXY, 1)


def test_a_service_that_hangs_holds_the_answer_for_a_second(scene: Scene) -> None:
    """Then the client has it, and the proxy charges."""
    scene.service.plan(scene.user, {Call.LOOK: hangs})
    began = time.monotonic()
    assert ask(scene) == 200
    assert 0.9 * PATIENCE < time.monotonic() - began < 2 * PATIENCE
    assert scene.settled() == TOKENS
    assert (scene.service.charged, scene.service.looks()) == (BY_PROXY, 1)


def test_a_client_that_leaves_while_the_service_hangs(scene: Scene) -> None:
    """Nothing was sent for it but a look, so the proxy charges at once."""
    scene.service.plan(scene.user, {Call.LOOK: hangs})
    with wires(scene.url, 1) as (wire,):
        wire.send(request(scene.user, stream=False))
        scene.service.wait_for(Call.LOOK)
    assert scene.settled() == TOKENS
    assert (scene.service.charged, scene.service.looks()) == (BY_PROXY, 1)


def test_a_client_that_leaves_after_the_charge_was_sent(scene: Scene) -> None:
    """It was sent whole and nobody cancels it; the proxy charges nothing."""
    scene.service.plan(scene.user, {Call.SECOND_LOOK: hangs})
    with wires(scene.url, 1) as (wire,):
        wire.send(request(scene.user, stream=False))
        scene.service.wait_for(Call.SECOND_LOOK)
    assert scene.settled() == TOKENS
    assert scene.service.charged == BY_FILTER


def test_a_client_that_leaves_before_a_slow_charge(scene: Scene) -> None:
    """The service has the charge and has not counted it when the client leaves; it does all the same."""
    scene.service.plan(scene.user, {Call.CHARGE: is_overtaken, Call.SECOND_LOOK: hangs})
    with wires(scene.url, 1) as (wire,):
        wire.send(request(scene.user, stream=False))
        scene.service.wait_for(Call.SECOND_LOOK)
    scene.service.wait_for(Call.END, answered=True)
    assert scene.used() == 0
    scene.service.released.set()
    assert scene.settled() == TOKENS
    assert scene.service.charged == BY_FILTER


def test_a_look_that_overtakes_the_charge(scene: Scene) -> None:
    """The filter sees that it is not there and looks again: the next request is refused all the same."""
    scene.service.plan(scene.user, {Call.CHARGE: is_overtaken, Call.THIRD_LOOK: waits_for_the_charge})
    assert ask(scene) == 200
    assert scene.used() == TOKENS
    assert scene.service.looks() == 3
    assert ask(scene) == 429
    assert scene.service.charged == BY_FILTER
    assert scene.used() == TOKENS


@pytest.mark.parametrize("conduct", [fails, hangs], ids=["an-error", "nothing"])
def test_a_second_look_that_fails(scene: Scene, conduct: Conduct) -> None:
    """The charge was sent before, so nobody else makes it; the client waits for no more than that look."""
    scene.service.plan(scene.user, {Call.SECOND_LOOK: conduct})
    began = time.monotonic()
    assert ask(scene) == 200
    assert time.monotonic() - began < 2 * PATIENCE
    assert scene.settled() == TOKENS
    assert (scene.service.charged, scene.service.looks()) == (BY_FILTER, 2)


def test_a_refused_request_is_not_charged(scene: Scene) -> None:
    """There is no answer to charge: the filter does not even look, and the proxy checks and no more."""
    assert ask(scene) == 200
    assert scene.settled() == TOKENS
    scene.service.plan(scene.user)
    assert [ask(scene), ask(scene)] == [429, 429]
    assert (scene.service.charged, scene.service.looks()) == ([], 0)
    assert scene.used() == TOKENS


def test_what_an_upstream_breaks_off_is_charged_once(scene: Scene) -> None:
    """No end was read, so the filter does nothing: the proxy charges what the answer had reported."""
    chunks = (Chunk(LAST.replace(b"[]", b"[{}]")), Chunk(DONE))
    broken = Script(chunks=chunks, headers=SSE, break_after=Break("chunks", 1))
    with wires(scene.url, 1) as (wire,):
        wire.send(request(scene.user, stream=True, script=broken))
        with pytest.raises(ConnectionError):
            wire.read_to_end()
    assert scene.settled() == TOKENS
    assert (scene.service.charged, scene.service.looks()) == (BY_PROXY, 0)
