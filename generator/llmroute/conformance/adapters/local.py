"""The gateway of ``llmroute run``: an Envoy with our ``envoy`` target's configuration and the embedded service.

``EnvoyStack`` is what every plain Envoy on this machine has in common, whatever counts beside it.
"""

from __future__ import annotations

import abc
import contextlib
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from llmroute.conformance.adapters.outage import EmbeddedOutage
from llmroute.conformance.adapters.plain import counter_of, plain_plan
from llmroute.conformance.adapters.protocol import Outage, Unavailable
from llmroute.conformance.upstream import ScriptedUpstream
from llmroute.local import services
from llmroute.local.envoy import envoy_binary
from llmroute.local.errors import LocalError, MissingTool
from llmroute.local.gateway import Edit, Gateway, RateLimitService, as_it_is, serve
from llmroute.local.ratelimit_service import EmbeddedRateLimit
from llmroute.plan import Plan
from llmroute.targets import LUA


class EnvoyStack(abc.ABC):
    """One gateway at a time; each policy gets a new one. ``edit`` changes its bootstrap, for a defect on purpose.

    ``access_log``: the file with a line for each request; usage is counted then, too. ``engine``: what the
    filter runs on.

    Raises:
        Unavailable: there is no Envoy; says how to get one.
    """

    refunds: ClassVar[bool] = False
    """Whether the rate limit service takes them."""

    def __init__(self, edit: Edit = as_it_is, access_log: Path | None = None, engine: str = LUA) -> None:
        try:
            envoy_binary()
        except MissingTool as missing:
            raise Unavailable(str(missing)) from missing
        self.upstream = ScriptedUpstream()
        self._edit = edit
        self._access_log = access_log
        self.engine = engine
        self._stack = contextlib.ExitStack()
        self._gateway_stack = contextlib.ExitStack()
        self._gateway: Gateway | None = None
        self.fail_closed = True
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
        """The running gateway.

        Raises:
            LocalError: no policy is in force.
        """
        if self._gateway is None:
            raise LocalError("no policy is in force")
        return self._gateway

    def apply(self, policy: str) -> None:
        """Start a gateway for the policy, or empty the counters of the one that runs it already."""
        wanted = (policy, self.fail_closed)
        if wanted != self._in_force:
            self._gateway_stack.close()
            self._in_force = None
            plan = self._compiled(policy)
            self._gateway = self._gateway_stack.enter_context(
                serve(
                    plan,
                    self._service(),
                    fail_closed=self.fail_closed,
                    access_log=self._access_log,
                    usage_counters=self._access_log is not None,
                    engine=self.engine,
                    edit=self._edit,
                )
            )
            self._in_force, self._plan = wanted, plan
        self._reset()

    def _compiled(self, policy: str) -> Plan:
        """What is to be served of a policy; ValueError for one that has errors."""
        return plain_plan(policy, self.upstream.port, refunds=self.refunds)

    @property
    def plan(self) -> Plan:
        """What is in force."""
        return self._plan

    def outage(self) -> Outage:
        """Of the rate limit service.

        Raises:
            LocalError: no policy is in force.
        """
        if self._outage is None:
            raise LocalError("no policy is in force")
        return self._outage

    def used(self, limit: int, *values: str) -> int:
        """The counter by its full key: nothing else may be counted under another."""
        return self._count(counter_of(self._plan, limit, values, self._seconds()))

    def logs(self) -> str:
        """Envoy's last lines."""
        return self._gateway.envoy.log_tail(50) if self._gateway else ""


class LocalStack(EnvoyStack):
    """With the embedded service. ``now`` is its time, which stands still."""

    refunds = True

    def __init__(self, edit: Edit = as_it_is, access_log: Path | None = None, engine: str = LUA) -> None:
        super().__init__(edit, access_log, engine)
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

    @property
    def _counting(self) -> EmbeddedRateLimit:
        if self._embedded is None:
            raise LocalError("no policy is in force")
        return self._embedded

    def counted(self) -> Mapping[str, int]:
        """Every counter of the running windows, by its full key."""
        return self._counting.counters()

    def _count(self, key: str) -> int:
        return self.counted().get(key, 0)

    def _reset(self) -> None:
        self._counting.reset()
