"""Every fixture at every cut point in Envoy: each byte of an answer is once where its second piece begins.

An answer of up to 1 KiB is cut at each of its bytes, a longer one at each of its first and last 512 and at every 8th
between. Every cut is a request of a user of its own; at the end the counters are exactly what is due.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import pytest

from e2e.capability import lacking
from e2e.client import wait_for
from e2e.cuts import Cut, run
from llmroute import names
from llmroute.conformance.adapters.plain import counter_of, plain_plan
from llmroute.conformance.wire import Fixture, load
from llmroute.local import services
from llmroute.local.envoy import envoy_binary
from llmroute.local.errors import MissingTool
from llmroute.local.gateway import serve
from llmroute.local.ratelimit_service import EmbeddedRateLimit
from llmroute.plan import Plan
from tests.policies import header, limit, route, rule, text

POLICY: Final = text(route(rule(limit(1_000_000, unit="Day"), headers=[header(names.USER_HEADER, "Distinct")])))
FIXTURES: Final = tuple(
    each for fixture in load() for each in ((fixture, fixture.asked()) if fixture.forced else (fixture,))
)
APIS: Final = sorted({fixture.api for fixture in FIXTURES})
pytestmark = pytest.mark.slow

CONNECTIONS: Final = 16
SHORT: Final = 1024
EDGE: Final = 512
STEP: Final = 8


@dataclass(frozen=True)
class Scene:
    """A gateway whose upstream listens on ``sock``, with the embedded service, whose time stands still."""

    sock: socket.socket
    gateway: tuple[str, int]
    service: EmbeddedRateLimit
    plan: Plan
    now: float

    def counter(self, user: str) -> str:
        """The key of a user's counter."""
        return counter_of(self.plan, 0, [user], self.now)


@pytest.fixture(scope="module")
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    """One gateway for all APIs."""
    if request.config.getoption("--stack") != "local":
        pytest.skip("cuts are made in front of a plain Envoy on this machine: --stack local")
    try:
        envoy_binary()
    except MissingTool as missing:
        lacking(request.config, missing)
    now, started = time.time(), list[EmbeddedRateLimit]()
    with socket.create_server(("127.0.0.1", 0)) as sock:
        plan = plain_plan(POLICY, sock.getsockname()[1])
        with serve(plan, services.embedded(lambda: now, started.append)) as gateway:
            url = urlsplit(gateway.url)
            assert url.hostname
            assert url.port
            yield Scene(sock, (url.hostname, url.port), started[0], plan, now)


def points(size: int) -> list[int]:
    """Where to cut an answer."""
    if size <= SHORT:
        return list(range(1, size))
    return [at for at in range(1, size) if at <= EDGE or at >= size - EDGE or at % STEP == 0]


def cuts_of(fixtures: tuple[Fixture, ...]) -> list[Cut]:
    """Every cut, each with its user."""
    pairs = [(fixture, at) for fixture in fixtures for at in points(len(fixture.answer))]
    return [Cut(fixture, at, f"{fixture.id}-{at}") for fixture, at in pairs]


@pytest.mark.parametrize("api", APIS)
def test_every_cut(scene: Scene, api: str) -> None:
    """The client gets the bytes that are meant for it, and every user's counter is the total; there are no others."""
    cuts = cuts_of(tuple(fixture for fixture in FIXTURES if fixture.api == api))
    scene.service.reset()
    asyncio.run(run(cuts, scene.sock.dup(), scene.gateway, CONNECTIONS))
    assert [cut.name for cut in cuts if cut.status != b"200"] == []
    assert [cut.name for cut in cuts if cut.body != cut.fixture.client] == []
    expected = {scene.counter(cut.user): cut.fixture.numbers.total for cut in cuts if cut.fixture.numbers.total}
    wait_for(lambda: counted(scene) == expected)
    assert counted(scene) == expected


def counted(scene: Scene) -> dict[str, int]:
    """Every counter that is not 0."""
    return {key: count for key, count in scene.service.counters().items() if count}
