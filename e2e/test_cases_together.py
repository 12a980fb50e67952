"""The case of shadows, which compares two policies: what a client sees is the same with them and without.

Cases of requests at one time are the suite's (``llmroute.conformance.cases.concurrency``); ``docs/cases.md`` lists all.
"""

from __future__ import annotations

from typing import Any

import pytest

from e2e.conftest import Serve
from llmroute.conformance.policies import USERS
from tests.policies import limit, route, rule, text


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
            assert [client.settled(90, 1), client.settled(45, 2)] == [90, 45]
    assert seen[0] == seen[1]
