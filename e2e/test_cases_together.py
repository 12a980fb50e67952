"""Cases of other gateways about requests at one time: each stays in flight until all have arrived or were refused.

Read for a gateway that admits while less than the quantity is used; ``docs/cases.md`` lists all cases.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import pytest

from e2e.client import WITHIN, Client, assert_refused, usage, wait_for
from e2e.conftest import Serve
from e2e.raw import Raw
from e2e.rows import USER, USERS, ok, per_user, play
from llmroute.conformance.upstream import Script
from tests.policies import header, limit, route, rule, text

TAG: Final = "x-tag"
REPETITIONS: Final = 3


@dataclass
class Flight:
    """A request in a thread of its own."""

    raw: Raw
    status: int = 0

    def run(self) -> None:
        """Send it and read the answer to its end."""
        with self.raw:
            response = self.raw.send()
            response.read()
            self.status = response.status

    @property
    def decided(self) -> bool:
        """Whether it is at the upstream, or back."""
        return bool(self.status) or self.raw.client.stack.upstream.served(self.raw.mark) is not None


def together(client: Client, count: int, tokens: int, tags: Sequence[str] = ("",)) -> list[int]:
    """Statuses of so many requests at one time; no answer begins before every request is at the upstream or refused."""
    script = Script(usage=usage(tokens), hold=f"together-{client.user}")
    flights = [Flight(Raw(client, script)) for _ in range(count)]
    for number, flight in enumerate(flights):
        flight.raw.header(TAG, tags[number % len(tags)])
    threads = [threading.Thread(target=flight.run) for flight in flights]
    for thread in threads:
        thread.start()
    arrived = wait_for(lambda: all(flight.decided for flight in flights))
    client.stack.upstream.release(script.hold or "")
    for thread in threads:
        thread.join(WITHIN)
    assert arrived
    reached = [client.stack.upstream.served(flight.raw.mark) is not None for flight in flights]
    assert reached == [flight.status == 200 for flight in flights], "a refused request reached the upstream"
    return [flight.status for flight in flights]


@dataclass(frozen=True)
class Crowd:
    """So many requests of so many tokens against a quantity, and how many are admitted."""

    id: str
    quantity: int
    count: int
    tokens: int
    admitted: int
    kind: str = "Token"


CROWDS: Final = (
    Crowd("KU-15", 50, 3, 20, 3),
    Crowd("TZ-06", 5, 10, 7, 5, "Request"),
    Crowd("TZ-08", 100_000, 100, 7, 100),
    Crowd("LL-01", 100, 5, 50, 5),
    Crowd("LL-05", 1000, 3, 110, 3),
    Crowd("LL-09", 2, 10, 7, 2, "Request"),
    Crowd("KU-11", 100, 3, 50, 3),
    Crowd("LL-08", 100, 5, 40, 5),
    Crowd("TZ-13", 100, 50, 5, 50),
)


@pytest.mark.parametrize("crowd", CROWDS, ids=lambda crowd: crowd.id)
def test_crowd(serve: Serve, crowd: Crowd) -> None:
    """Of requests exactly the quantity is admitted; of tokens all that came before the first answer ended.

    The sum then stays below the bound: quantity and one answer for each in flight. The next one is refused.
    """
    client = serve(per_user(crowd.quantity, kind=crowd.kind))
    statuses = together(client, crowd.count, crowd.tokens)
    assert Counter(statuses) == Counter({200: crowd.admitted, 429: crowd.count - crowd.admitted})
    # The service counts requests that it refuses, too.
    used = crowd.admitted * crowd.tokens if crowd.kind == "Token" else crowd.count
    assert client.settled(used) == used
    if crowd.kind == "Token":
        assert used < crowd.quantity + crowd.count * crowd.tokens
    if used >= crowd.quantity:
        assert_refused(client.chat(1), f"{crowd.kind.lower()}s")


def test_tz07(serve: Serve) -> None:
    """TZ-07: three at one time, two of one tag and one of another, two allowed for each tag: all pass; a third does not."""
    client = serve(text(route(rule(limit(2, "Request", "Day"), headers=[header(TAG, "Distinct")]))))
    tags = [f"a-{client.user}", f"b-{client.user}", f"a-{client.user}"]
    assert together(client, 3, 7, tags) == [200, 200, 200]
    assert [client.settled(n, 0, tag) for n, tag in ((2, tags[0]), (1, tags[1]))] == [2, 1]
    assert_refused(client.chat(1, headers={TAG: tags[0]}), "requests")


def test_n09(serve: Serve) -> None:
    """N-09: 64 at one time, 100 tokens each, when 999 of 1,000 are used: all pass, one token short of the bound."""
    for _ in range(REPETITIONS):
        client = serve(per_user(1000))
        play(client, [ok(999)], [USER])
        assert together(client, 64, 100) == [200] * 64
        assert client.settled(999 + 64 * 100) == 1000 + 64 * 100 - 1
        assert_refused(client.chat(1))
        assert client.stack.used(0, client.user) == 1000 + 64 * 100 - 1


def shadowed(*, shadow: bool) -> str:
    """A limit that nobody reaches, and a shadow that everybody has used up at once."""
    limits: list[dict[str, Any]] = [limit(1_000_000, unit="Day")]
    if shadow:
        limits += [limit(1, unit="Hour", shadow=True), limit(0, unit="Day", token="Prompt", shadow=True)]
    return text(route(rule(*limits, headers=USERS)))


@pytest.mark.parametrize("streamed", [False, True], ids=["json", "stream"])
def test_n22(serve: Serve, streamed: bool) -> None:
    """N-22: statuses, headers and bytes with used up shadows are those without any; their counters move."""
    seen = []
    for shadow in (False, True):
        client = serve(shadowed(shadow=shadow))
        for n in range(1, 4):
            answer = client.chat(30, body={"stream": streamed})
            assert answer.status == 200
            assert client.settled(30 * n) == 30 * n
        seen.append([o for o in client.observations if "status" in o])
        if shadow:
            assert [client.settled(90, 1), client.settled(39, 2)] == [90, 39]
    assert seen[0] == seen[1]
