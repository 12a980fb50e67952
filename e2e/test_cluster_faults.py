"""The parts of a cluster die one at a time: Envoy, Envoy Gateway, ratelimit, Redis. (``--stack kind``).

``test_faults.py`` has the finer points, on parts that a test can stop and start by itself.
"""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING

import httpx
import redis

from e2e.client import Answer, Client, wait_for
from e2e.conftest import Serve
from e2e.stacks.kubectl import ClusterError
from llmroute import names
from tests.policies import header, limit, route, rule, text

if TYPE_CHECKING:
    from e2e.stacks.kind import KindStack  # needs more than the other stacks

TOKENS = 37
POLICY = text(route(rule(limit(1_000_000, unit="Day"), headers=[header(names.USER_HEADER, "Distinct")])))
TIGHTER = text(route(rule(limit(999_999, unit="Day"), headers=[header(names.USER_HEADER, "Distinct")])))


def ask(kind: KindStack, user: str) -> Answer | None:
    """One request on a connection of its own: port-forwards end with the pod that they lead to."""
    client = Client(kind)
    try:
        return client.chat(user=user)
    except httpx.TransportError:
        return None
    finally:
        client.close()


def used(kind: KindStack, user: str) -> int:
    """The counter, once Redis can be reached."""
    found: list[int] = []

    def read() -> bool:
        with contextlib.suppress(redis.ConnectionError, ClusterError):
            found.append(kind.used(0, user))
        return bool(found)

    assert wait_for(read), "Redis cannot be reached"
    return found[-1]


def reached(kind: KindStack, user: str, expected: int) -> bool:
    """Whether the counter is that high."""
    return used(kind, user) >= expected


def counted(kind: KindStack, user: str, requests: int) -> None:
    """So many answers of 200, each charged."""
    before = used(kind, user)
    for n in range(1, requests + 1):
        answer = ask(kind, user)
        assert answer
        assert answer.status == 200
        expected = before + n * TOKENS
        assert wait_for(functools.partial(reached, kind, user, expected))
        assert used(kind, user) == expected


def passes_again(kind: KindStack, user: str) -> list[Answer]:
    """Requests until one passes; every one that does not is refused before it reaches the model."""
    answers: list[Answer] = []

    def once() -> bool:
        answer = ask(kind, user)
        if answer:
            answers.append(answer)
        return answer is not None and answer.status == 200

    assert wait_for(once), [a.status for a in answers]
    assert {a.status for a in answers} <= {200, 500, 503}
    assert all(a.served is None for a in answers if a.status != 200)
    return answers


def test_envoy_gateway_dies(kind: KindStack, serve: Serve) -> None:
    """Envoy serves and counts on; when it is back, a policy can change."""
    user = serve(POLICY).user
    counted(kind, user, 2)
    kind.crash("envoy-gateway")
    counted(kind, user, 3)
    kind.wait_for_part("envoy-gateway")
    counted(kind, user, 1)
    kind.update(TIGHTER)
    answer = ask(kind, user)
    assert answer
    assert answer.headers["x-ratelimit-limit-tokens"] == "999999"
    assert wait_for(lambda: used(kind, user) == 7 * TOKENS)


def test_envoy_dies(kind: KindStack, serve: Serve) -> None:
    """The next one goes on with the counts that Redis has."""
    user = serve(POLICY).user
    counted(kind, user, 2)
    kind.crash("envoy")
    kind.wait_for_part("envoy")
    passes_again(kind, user)
    assert wait_for(lambda: used(kind, user) == 3 * TOKENS), used(kind, user)
    counted(kind, user, 1)


def test_ratelimit_dies(kind: KindStack, serve: Serve) -> None:
    """Nothing is admitted unchecked meanwhile; the charge of an answer that was under way may be lost."""
    user = serve(POLICY).user
    counted(kind, user, 2)
    kind.crash("ratelimit")
    passed = [a.status for a in passes_again(kind, user)].count(200)
    kind.wait_for_part("ratelimit")
    passed += [a.status for a in passes_again(kind, user)].count(200)
    assert wait_for(lambda: used(kind, user) >= (1 + passed) * TOKENS)
    assert used(kind, user) in {(1 + passed) * TOKENS, (2 + passed) * TOKENS}
    counted(kind, user, 1)


def test_redis_dies(kind: KindStack, serve: Serve) -> None:
    """Its volume goes with the pod: everybody begins at 0, and is counted (docs/operations.md).

    ratelimit is restarted after it, as docs/operations.md advises: it would find out about each dead
    connection by failing a call on it.
    """
    user = serve(POLICY).user
    counted(kind, user, 2)
    kind.crash("redis")
    kind.wait_for_part("redis")
    assert used(kind, user) == 0
    kind.crash("ratelimit")
    kind.wait_for_part("ratelimit")
    passes_again(kind, user)
    assert wait_for(lambda: used(kind, user) >= TOKENS)
    counted(kind, user, 1)
