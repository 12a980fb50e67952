"""``admission.maxInFlight``: so many requests at one time, the next is a 503 at once, and it costs no tokens."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from e2e.client import WITHIN, Client, usage, wait_for
from e2e.conftest import Serve
from e2e.raw import Raw
from llmroute import names
from llmroute.conformance.upstream import Script
from tests.policies import header, limit, route, rule, text

MOST: Final = 4
TOKENS: Final = 7
USERS: Final = [header(names.USER_HEADER, "Distinct")]
WORKERS: Final = 2
"""Threads of the Envoys here: the count is shared, and between a look at it and the next one each may let one in."""


def policy() -> str:
    """A policy with that bound, and a limit that is far away."""
    made = route(rule(limit(10_000, unit="Day"), headers=USERS))
    made["spec"]["admission"] = {"maxInFlight": MOST}
    return text(made)


@dataclass
class Flight:
    """A request on its way, in a thread of its own."""

    raw: Raw
    status: int | None = None

    def run(self) -> None:
        """Send it and read its answer to the end."""
        with self.raw:
            try:
                response = self.raw.send()
                response.read()
                self.status = response.status
            except (OSError, http.client.HTTPException):
                self.status = 0

    @property
    def arrived(self) -> bool:
        """Whether the upstream has it."""
        return self.raw.client.stack.upstream.served(self.raw.mark) is not None


class Flights:
    """Requests whose answers the upstream holds back until ``land``."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.script = Script(usage=usage(TOKENS), hold=f"land-{client.user}")
        self.threads: list[threading.Thread] = []

    def start(self, count: int) -> list[Flight]:
        """So many more."""
        flights = [Flight(Raw(self.client, self.script)) for _ in range(count)]
        for flight in flights:
            self.threads.append(threading.Thread(target=flight.run))
            self.threads[-1].start()
        return flights

    def land(self) -> None:
        """Let all of them be answered."""
        self.client.stack.upstream.release(self.script.hold or "")
        for thread in self.threads:
            thread.join(WITHIN)
            assert not thread.is_alive()


def statuses(flights: Sequence[Flight]) -> list[int | None]:
    """What became of each."""
    return [flight.status for flight in flights]


def test_no_more_than_that_many_reach_the_backend(serve: Serve) -> None:
    """As many again are 503s while the first are on their way, and cost nothing; when those are done there is room."""
    client = serve(policy())
    flights = Flights(client)
    first = flights.start(MOST)
    assert wait_for(lambda: all(flight.arrived for flight in first))
    more = flights.start(MOST)
    assert wait_for(lambda: all(flight.status is not None for flight in more))
    assert statuses(more) == [503] * MOST
    assert not any(flight.arrived for flight in more)
    assert statuses(first) == [None] * MOST
    flights.land()
    assert statuses(first) == [200] * MOST
    assert client.settled(MOST * TOKENS) == MOST * TOKENS
    assert client.chat(TOKENS).status == 200
    assert client.settled((MOST + 1) * TOKENS) == (MOST + 1) * TOKENS


def test_a_crowd_does_not_get_through_either(serve: Serve) -> None:
    """Eight times as many at once: those that arrive are the bound, and what threads of Envoy let in at one moment."""
    client = serve(policy())
    flights = Flights(client)
    crowd = flights.start(8 * MOST)
    assert wait_for(lambda: sum(f.arrived or f.status is not None for f in crowd) == len(crowd))
    arrived = sum(flight.arrived for flight in crowd)
    flights.land()
    assert MOST <= arrived < MOST + WORKERS
    assert sorted(statuses(crowd), key=str) == [200] * arrived + [503] * (len(crowd) - arrived)
    assert client.settled(arrived * TOKENS) == arrived * TOKENS
