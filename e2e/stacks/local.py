"""The stacks of a plain Envoy from PyPI, with our ``envoy`` target's configuration.

``local`` is the suite's own: the embedded rate limit service, whose clock stands still; ``process`` has the real one
on a Valkey, with the machine's clock.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from e2e.stacks.protocol import Unavailable
from e2e.stacks.tools import tool
from llmroute.conformance.adapters.local import EnvoyStack, LocalStack
from llmroute.conformance.adapters.outage import ProcessOutage
from llmroute.local import services
from llmroute.local.errors import MissingTool
from llmroute.local.gateway import RateLimitService
from llmroute.local.ratelimit import RatelimitProcess
from llmroute.local.valkey import valkey_binary

if TYPE_CHECKING:
    from e2e.stacks.counters import Counters  # at run time only where it is used: it needs a Redis client

__all__ = ["EnvoyStack", "LocalStack", "ProcessStack"]


class ProcessStack(EnvoyStack):
    """With envoyproxy/ratelimit itself, on a Valkey that lives as long as the stack."""

    def __init__(self, access_log: Path | None = None) -> None:
        super().__init__(access_log=access_log)
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
