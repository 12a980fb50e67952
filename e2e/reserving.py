"""Requests that hold what they may take (``mode: Reserve``), for the tests of that: policies, counters, requests under way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final

from e2e.client import Answer, Client, usage, wait_for
from e2e.raw import Raw
from llmroute.conformance.upstream import Script
from tests.policies import USER, header, limit, route, rule, text, with_spec

ANSWER: Final = 100
"""``maxTokens`` of the policies here."""
MESSAGES: Final = [{"role": "user", "content": "hello"}]
PROMPT: Final = -(-len(json.dumps(MESSAGES)) // 4)
"""What the filter estimates for the prompt of ``Client.chat``."""
HOLD: Final = PROMPT + ANSWER
EVERY_USER: Final = [header(USER, "Distinct")]


def reserved(*limits: dict[str, Any], of_all: list[dict[str, Any]] | None = None, **admission: Any) -> str:
    """A policy with these limits for every user, and others for all of them."""
    made = route(rule(*limits, headers=EVERY_USER))
    return text(with_spec(made, of_all, admission={"mode": "Reserve", "maxTokens": ANSWER} | admission))


def a_day(quantity: int, **more: Any) -> dict[str, Any]:
    """A limit of tokens."""
    return limit(quantity, unit="Day", **more)


def comes_to(client: Client, expected: int, limit: int = 0, *values: str) -> None:
    """The counter comes to be just that; from what is held it goes there in one step."""
    values = values or (client.user,)
    assert wait_for(lambda: client.stack.used(limit, *values) == expected), client.stack.used(limit, *values)


class Flight:
    """A request whose answer the upstream holds back until the block's end."""

    def __init__(self, client: Client, name: str, future: Any) -> None:
        self.client, self.name, self._future = client, name, future

    def land(self) -> Answer:
        """Its answer, whole."""
        self.client.stack.upstream.release(self.name)
        answer: Answer = self._future.result()
        return answer


@contextmanager
def in_flight(client: Client, total: int = 1, held: int = HOLD, **more: Any) -> Iterator[Flight]:
    """A request that has been admitted and holds so much, until ``land``."""
    before = client.stack.used(0, client.user)
    name = f"{client.user}-{before}-{total}"
    script = more.pop("script", None) or Script(usage=usage(total), hold=name)
    with ThreadPoolExecutor(1) as pool:
        flight = Flight(client, name, pool.submit(client.chat, script=script, **more))
        try:
            comes_to(client, before + held)
            yield flight
        finally:
            client.stack.upstream.release(name)


def exchanged(raw: Raw) -> int:
    """The status of a whole exchange."""
    with raw:
        response = raw.send(json.dumps({"model": "m", "messages": MESSAGES}).encode())
        response.read()
        return response.status
