"""A gateway whose parts a test can kill and start again: plain Envoys, real rate limit services, one Redis."""

from __future__ import annotations

import contextlib
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx
import redis

from e2e.client import CHAT, wait_for
from llmroute import names
from llmroute.conformance.adapters.outage import ProcessOutage
from llmroute.conformance.upstream import MARK_HEADER, ScriptedUpstream
from llmroute.emit.envoy_static import LISTENER, EnvoyOptions, envoy_static
from llmroute.emit.ratelimit_config import ratelimit_config
from llmroute.local.envoy import EnvoyProcess
from llmroute.local.processes import ManagedProcess
from llmroute.local.ratelimit import RatelimitProcess
from llmroute.local.valkey import ValkeyProcess
from llmroute.plan import Endpoint, Plan

_BODY: Final = {"model": "m", "messages": []}


@dataclass
class Parts:
    """A gateway whose parts can be killed one by one."""

    folder: Path
    ratelimit: Path
    plan: Plan
    upstream: ScriptedUpstream
    valkey: ValkeyProcess
    ratelimits: list[RatelimitProcess] = field(default_factory=list)
    envoys: list[EnvoyProcess] = field(default_factory=list)
    exits: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def add_ratelimit(self, connections: int = 1) -> RatelimitProcess:
        """One more rate limit service on the same Redis, with so many connections to it."""
        files = []
        for artifact in ratelimit_config(self.plan):
            file = self.folder / Path(artifact.path).name
            file.write_text(artifact.text, encoding="utf-8")
            files.append(file)
        service = RatelimitProcess(files, self.valkey.address, redis_pool_size=connections, binary=self.ratelimit)
        self.ratelimits.append(self.exits.enter_context(service))
        return service

    def add_envoy(self, service: RatelimitProcess, *, fail_closed: bool = True) -> EnvoyProcess:
        """One more Envoy, on that service."""
        options = EnvoyOptions(
            listen=Endpoint("127.0.0.1", 0),
            admin=Endpoint("127.0.0.1", 0),
            ratelimit=Endpoint.parse(service.address),
            fail_closed=fail_closed,
        )
        envoy = EnvoyProcess(envoy_static(self.plan, options).text)
        self.envoys.append(self.exits.enter_context(envoy))
        return envoy

    def ask(self, user: str, envoy: int = 0) -> tuple[int, bool]:
        """Status of a request (0: no answer), and whether the upstream served it."""
        mark = uuid.uuid4().hex
        host, port = self.envoys[envoy].listener_address(LISTENER)
        headers = {names.USER_HEADER: user, MARK_HEADER: mark}
        try:
            status = httpx.post(f"http://{host}:{port}{CHAT}", json=_BODY, headers=headers, trust_env=False).status_code
        except httpx.TransportError:
            status = 0
        return status, self.upstream.seen(mark)

    def used(self, user: str) -> int:
        """The user's counter in Redis, over all windows."""
        host, _, port = self.valkey.address.rpartition(":")
        with redis.Redis(host=host, port=int(port), socket_timeout=5, decode_responses=True) as client:
            keys = [str(k) for k in client.scan_iter(f"*_{user}_*")]
            return sum(int(str(client.get(k) or 0)) for k in keys)

    def settled(self, user: str, expected: int) -> int:
        """The counter, once it is what is expected."""
        wait_for(lambda: self.used(user) >= expected)
        return self.used(user)


def kill(process: ManagedProcess) -> None:
    """Kill it, as a crash would."""
    ProcessOutage(process).kill()
