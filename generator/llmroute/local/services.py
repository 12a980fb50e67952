"""The rate limit services that a local gateway can use: embedded, a real one, or one that runs already."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from llmroute.limiter import Clock
from llmroute.local.gateway import RateLimitService
from llmroute.local.ratelimit import RatelimitProcess
from llmroute.local.ratelimit_service import EmbeddedRateLimit
from llmroute.local.valkey import ValkeyProcess
from llmroute.plan import Endpoint


def embedded(
    clock: Clock = time.time, started: Callable[[EmbeddedRateLimit], None] = lambda _: None
) -> RateLimitService:
    """Our own service, in this process; ``started`` is handed it, to read its counters."""

    @contextlib.contextmanager
    def start(files: list[Path], directory: Path) -> Iterator[Endpoint]:
        del directory
        with EmbeddedRateLimit(files, clock) as service:
            started(service)
            yield Endpoint.parse(service.address)

    return start


def process(
    redis: str | None = None,
    binary: str | None = None,
    started: Callable[[RatelimitProcess], None] = lambda _: None,
    *,
    metrics: bool = False,
) -> RateLimitService:
    """The real envoyproxy/ratelimit, on the Redis at ``redis`` (``HOST:PORT``) or on a Valkey of its own.

    ``started`` is handed it. With ``metrics`` Prometheus can ask it.
    """

    @contextlib.contextmanager
    def start(files: list[Path], directory: Path) -> Iterator[Endpoint]:
        with contextlib.ExitStack() as stack:
            address = redis or stack.enter_context(ValkeyProcess(directory / "valkey")).address
            service = stack.enter_context(
                RatelimitProcess(files, address, directory / "ratelimit-service", binary=binary, metrics=metrics)
            )
            started(service)
            yield Endpoint.parse(service.address)

    return start


def running(address: Endpoint) -> RateLimitService:
    """A service that somebody else started, with the configuration that ``generate --target envoy`` writes."""

    @contextlib.contextmanager
    def start(files: list[Path], directory: Path) -> Iterator[Endpoint]:
        del files, directory
        yield address

    return start
