"""A gateway that tells of its requests: by its access log, by Envoy's counters and by the service's."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from e2e.capability import lacking
from e2e.client import Client, usage, wait_for
from e2e.stacks.local import EnvoyStack
from e2e.stacks.protocol import Unavailable
from llmroute import names
from tests.policies import header, limit, route, rule, text

TELLS_WITHIN: Final = 30.0
"""Seconds; ratelimit hands its counters to Prometheus every 10."""
EXAMPLES: Final = Path(__file__).parent.parent / "manifests" / "examples"
USERS: Final = [header(names.USER_HEADER, "Distinct")]
POLICY: Final = route(rule(limit(85, unit="Day"), headers=USERS))
ROUTE: Final = "default/route/llm/unnamed"
CACHED: Final = usage(37, 27, 10) | {
    "prompt_tokens_details": {"cached_tokens": 8},
    "completion_tokens_details": {"reasoning_tokens": 4},
}


class Told:
    """A gateway that tells, and what it has told so far."""

    def __init__(self, stack: EnvoyStack, log: Path) -> None:
        self.stack = stack
        self._log = log
        self._clients: list[Client] = []

    def serve(self, *documents: dict[str, Any]) -> Client:
        """The policy in force, and a client."""
        self.stack.apply(text(*documents))
        self._clients.append(Client(self.stack))
        return self._clients[-1]

    def close(self) -> None:
        """Close the clients' connections, then the stack."""
        for client in self._clients:
            client.close()
        self.stack.__exit__(None, None, None)

    def lines(self, count: int) -> list[dict[str, Any]]:
        """The first ``count`` lines of the log; there are no more."""
        admin = self.stack.gateway.envoy.admin_url

        def written() -> list[str]:
            httpx.post(f"{admin}/reopen_logs", trust_env=False).raise_for_status()  # Envoy holds lines for 10 s
            return self._log.read_text(encoding="utf-8").splitlines()

        assert wait_for(lambda: len(written()) >= count)
        found = written()
        assert len(found) == count
        return [json.loads(line) for line in found]

    def counters(self, pattern: str) -> dict[str, float]:
        """Envoy's counters, as Prometheus sees them, whose name and labels match."""
        return metrics(f"{self.stack.gateway.envoy.admin_url}/stats/prometheus", pattern)


def metrics(url: str, pattern: str) -> dict[str, float]:
    """Name and labels to value, of all that match."""
    lines = httpx.get(url, trust_env=False).raise_for_status().text.splitlines()
    pairs = (line.rpartition(" ") for line in lines if line and not line.startswith("#"))
    return {name: float(value) for name, _, value in pairs if re.match(pattern, name)}


@pytest.fixture
def told(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[type[EnvoyStack]], Told]]:
    """``told(LocalStack)``: a stack that tells."""
    running: list[Told] = []

    def start(kind: type[EnvoyStack]) -> Told:
        log = tmp_path / "requests.jsonl"
        try:
            running.append(Told(kind(access_log=log).__enter__(), log))
        except Unavailable as missing:
            lacking(request.config, missing)
        return running[-1]

    yield start
    for one in running:
        one.close()


Start = Callable[[type[EnvoyStack]], Told]
