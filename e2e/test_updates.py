"""A policy changes while traffic flows: no request is lost, no count is lost, and the new limit holds."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter

import pytest

from e2e.client import MODEL, WITHIN, Client, assert_refused, wait_for
from e2e.conftest import Serve
from e2e.stacks.protocol import Reloading, charges_alone
from llmroute import names
from tests.policies import header, limit, route, rule, text

USERS = [header(names.USER_HEADER, "Distinct")]
CLIENTS = 4
TOKENS = 37


def policy(quantity: int, *, more: bool = False) -> str:
    """A limit per user that changes, one per model and user that does not, and perhaps one more at the end."""
    per_model = [header(names.MODEL_HEADER, "Exact", MODEL), *USERS]
    rules = [
        rule(limit(quantity, unit="Day"), headers=USERS),
        rule(limit(2_000_000, unit="Day"), headers=per_model),
    ]
    if more:
        rules.append(rule(limit(3_000_000, "Request", "Day"), headers=USERS))
    return text(route(*rules))


def test_an_update_under_traffic(serve: Serve) -> None:
    """Four clients go on while the quantity grows and a rule is added; then every answer is in both counters."""
    client = serve(policy(1_000_000))
    stack = client.stack
    if not isinstance(stack, Reloading):
        pytest.skip("a static Envoy takes no other policy while it serves")
    stop, statuses = threading.Event(), Counter[int]()
    lock = threading.Lock()

    def drive() -> None:
        mine = Client(stack)
        while not stop.is_set():
            status = mine.chat(user=client.user).status
            with lock:
                statuses[status] += 1
        mine.close()

    threads = [threading.Thread(target=drive) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        assert wait_for(lambda: statuses[200] >= 20)
        stack.update(policy(1_500_000, more=True))
        served = statuses[200]
        assert wait_for(lambda: statuses[200] >= served + 20)
    finally:
        stop.set()
        for thread in threads:
            thread.join(WITHIN)
    assert set(statuses) == {200}, statuses
    total = statuses[200] * TOKENS
    assert client.settled(total, 0) == total
    assert client.settled(total, 1) == total
    told = client.chat()
    assert told.headers["x-ratelimit-limit-tokens"] == "1500000"
    assert int(told.headers["x-ratelimit-remaining-tokens"]) == 1_500_000 - total


def test_an_update_tightens_at_once(serve: Serve) -> None:
    """What was used counts against the new quantity."""
    client = serve(policy(1_000_000))
    if not isinstance(client.stack, Reloading):
        pytest.skip("a static Envoy takes no other policy while it serves")
    assert client.chat().status == 200
    assert client.settled(TOKENS) == TOKENS
    client.stack.update(policy(TOKENS))
    # What a module is told belongs to the connection: one that was open before keeps it until it is drained.
    if charges_alone(client.stack):
        with contextlib.closing(Client(client.stack)) as fresh:
            assert_refused(fresh.chat(user=client.user))
    else:
        assert_refused(client.chat())
    assert client.settled(TOKENS) == TOKENS
