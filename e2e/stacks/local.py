"""The stacks of a plain Envoy from PyPI, with our ``envoy`` target's configuration.

``local`` has the embedded rate limit service, whose clock stands still; ``process`` the real one on a
Valkey, with the machine's clock.
"""

from __future__ import annotations

import abc
import contextlib
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from e2e.stacks.outage import EmbeddedOutage, Outage, ProcessOutage
from e2e.stacks.plain_plan import plain_plan
from e2e.stacks.plan_counters import counter_of
from e2e.stacks.protocol import Unavailable
from e2e.stacks.tools import tool
from llmroute.conformance.upstream import ScriptedUpstream
from llmroute.local import services
from llmroute.local.envoy import envoy_binary
from llmroute.local.errors import MissingTool
from llmroute.local.gateway import Gateway, RateLimitService, serve
from llmroute.local.ratelimit import RatelimitProcess
from llmroute.local.ratelimit_service import EmbeddedRateLimit
from llmroute.local.valkey import valkey_binary
from llmroute.plan import Plan

if TYPE_CHECKING:
    from e2e.stacks.counters import Counters  # at run time only where it is used: it needs a Redis client


class EnvoyStack(abc.ABC):
    """One gateway at a time; each policy gets a new one.

    ``access_log``: the file with a line for each request; usage is counted then, too.
    """

    def __init__(self, access_log: Path | None = None) -> None:
        try:
            envoy_binary()
        except MissingTool as missing:
            raise Unavailable(str(missing)) from missing
        self.upstream = ScriptedUpstream()
        self._stack = contextlib.ExitStack()
        self._gateway_stack = contextlib.ExitStack()
        self._gateway: Gateway | None = None
        self.fail_closed = True
        self._access_log = access_log
        self._outage: Outage | None = None
        self._in_force: tuple[str, bool] | None = None
        self._plan = Plan(())

    @abc.abstractmethod
    def _service(self) -> RateLimitService:
        """The rate limit service of a new gateway."""

    @abc.abstractmethod
    def _seconds(self) -> float:
        """The time that the service sees, in Unix seconds."""

    @abc.abstractmethod
    def _count(self, key: str) -> int:
        """A counter by its full key."""

    @abc.abstractmethod
    def _reset(self) -> None:
        """Forget every count."""

    def __enter__(self) -> Self:
        self._stack.enter_context(self.upstream)
        self._stack.push(self._gateway_stack)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def url(self) -> str:
        """Where the gateway takes traffic."""
        return self.gateway.url

    @property
    def gateway(self) -> Gateway:
        """The running gateway."""
        assert self._gateway
        return self._gateway

    def apply(self, policy: str) -> None:
        """Start a gateway for the policy, or empty the counters of the one that runs it already."""
        wanted = (policy, self.fail_closed)
        if wanted != self._in_force:
            self._gateway_stack.close()
            self._in_force = None
            plan = plain_plan(policy, self.upstream.port)
            log = self._access_log
            self._gateway = self._gateway_stack.enter_context(
                serve(
                    plan,
                    self._service(),
                    fail_closed=self.fail_closed,
                    access_log=log,
                    usage_counters=log is not None,
                )
            )
            self._in_force, self._plan = wanted, plan
        self._reset()

    def outage(self) -> Outage:
        """Of the rate limit service."""
        assert self._outage
        return self._outage

    def used(self, limit: int, *values: str) -> int:
        """The counter by its full key: nothing else may be counted under another."""
        return self._count(counter_of(self._plan, limit, values, self._seconds()))

    def logs(self) -> str:
        """Envoy's last lines."""
        return self._gateway.envoy.log_tail(50) if self._gateway else ""


class LocalStack(EnvoyStack):
    """With the embedded service. ``now`` is its time, which stands still."""

    def __init__(self, access_log: Path | None = None) -> None:
        super().__init__(access_log)
        self.now = time.time()
        self._embedded: EmbeddedRateLimit | None = None
        self._flow = threading.Event()
        self._flow.set()

    def _service(self) -> RateLimitService:
        return services.embedded(self._clock, self._started)

    def _clock(self) -> float:
        self._flow.wait()
        return self.now

    def _started(self, service: EmbeddedRateLimit) -> None:
        self._embedded = service
        self._outage = EmbeddedOutage(service, self._flow)

    def _seconds(self) -> float:
        return self.now

    def _count(self, key: str) -> int:
        assert self._embedded
        return self._embedded.counters().get(key, 0)

    def _reset(self) -> None:
        assert self._embedded
        self._embedded.reset()


class ProcessStack(EnvoyStack):
    """With envoyproxy/ratelimit itself, on a Valkey that lives as long as the stack."""

    def __init__(self, access_log: Path | None = None) -> None:
        super().__init__(access_log)
        self.metrics_url = ""
        """Where Prometheus asks the service, with an ``access_log``."""
        try:
            valkey_binary()
        except MissingTool as missing:
            raise Unavailable(str(missing)) from missing
        self._ratelimit = tool("ratelimit")
        self._counters: Counters | None = None

    def __enter__(self) -> Self:
        from e2e.stacks.counters import Counters

        self._counters = self._stack.enter_context(Counters())
        return super().__enter__()

    @property
    def counters(self) -> Counters:
        """The service's counters."""
        assert self._counters
        return self._counters

    def _service(self) -> RateLimitService:
        metrics = self._access_log is not None
        return services.process(self.counters.address, str(self._ratelimit), self._started, metrics=metrics)

    def _started(self, service: RatelimitProcess) -> None:
        self._outage = ProcessOutage(service)
        self.metrics_url = service.metrics_url

    def _seconds(self) -> float:
        return time.time()

    def _count(self, key: str) -> int:
        return self.counters.get(key)

    def _reset(self) -> None:
        self.counters.reset()
