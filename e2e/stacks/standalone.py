"""The ``standalone`` stack: Envoy Gateway itself on this machine, with the real ratelimit service on a Valkey.

Nothing of it reaches beyond loopback. Envoy Gateway's ports are fixed, so there is one such stack at a time.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import yaml

from e2e.stacks.counters import Counters
from e2e.stacks.envoy_gateway import PORTS, EnvoyGatewayProcess, GatewayRatelimit, envoy_certificates, make_home
from e2e.stacks.gateway_limits import GatewayLimit, limits_of
from e2e.stacks.gateway_status import refusals
from e2e.stacks.host_documents import Document, Host, host_documents
from e2e.stacks.in_force import missing
from e2e.stacks.module_server import ModuleServer
from e2e.stacks.protocol import Unavailable
from e2e.stacks.tools import tool
from llmroute.conformance.adapters.outage import ProcessOutage, killed
from llmroute.conformance.upstream import ScriptedUpstream
from llmroute.conformance.windows import window_start
from llmroute.diagnostic import has_errors
from llmroute.local.envoy import envoy_binary
from llmroute.local.errors import MissingTool, StartError
from llmroute.local.ports import free_port, http_get, port_is_free
from llmroute.local.valkey import valkey_binary
from llmroute.pipeline import compile_policies
from llmroute.plan import Endpoint
from llmroute.targets import ENVOY_GATEWAY, LUA, WASM, capabilities
from tools.pins import pins

_LOOPBACK: Final = "127.0.0.1"
_IN_FORCE_WITHIN: Final = 30.0
"""Seconds from Envoy Gateway's start until Envoy serves the policy."""
_POLL: Final = 0.02
_LOG_LINES: Final = 60


class StandaloneStack:
    """One Envoy Gateway at a time; each policy gets a new one, as it holds on to removed fields (PLATFORM 6.8)."""

    def __init__(self, *, durable: bool = False, engine: str = LUA) -> None:
        """``durable``: counters outlive their Valkey's end, on disk. ``engine``: what the filter runs on."""
        try:
            envoy_binary()
            valkey_binary()
        except MissingTool as absent:
            raise Unavailable(str(absent)) from absent
        self._programs = {name: tool(name) for name in ("envoy-gateway", "ratelimit")}
        if taken := [str(port) for port in PORTS if not port_is_free("0.0.0.0", port)]:
            raise Unavailable(f"Envoy Gateway needs ports that are taken: {', '.join(taken)}")
        self.engine = engine
        self._module = ModuleServer()
        self.by_image = False
        """Whether Envoy Gateway gets the module as an image; from the next policy on."""
        self.upstream = ScriptedUpstream()
        self._counters = Counters(durable=durable)
        self._stack = contextlib.ExitStack()
        self._gateway_stack = contextlib.ExitStack()
        self._home = Path()
        self._gateway: EnvoyGatewayProcess | None = None
        self._ratelimit: GatewayRatelimit | None = None
        self._limits: Sequence[GatewayLimit] = ()
        self._written: Sequence[Document] = ()
        self.fail_closed = True
        self._policy: str | None = None
        self._closed = True
        self._listen = 0
        self._host: Host | None = None

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self._home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="llmroute-standalone-")))
            make_home(self._programs["envoy-gateway"], self._home, pins()["ENVOY"])
            stack.enter_context(self.upstream)
            stack.enter_context(self._module)
            stack.enter_context(self._counters)
            stack.push(self._gateway_stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def url(self) -> str:
        """Where the gateway takes traffic."""
        return f"http://{_LOOPBACK}:{self._listen}"

    def outage(self) -> ProcessOutage:
        """Of the ratelimit service."""
        assert self._ratelimit
        return ProcessOutage(self._ratelimit)

    def kills(self) -> Mapping[str, Callable[[], None]]:
        """Its parts: each is killed as by a crash, and serves again on return. Of a stack that is durable."""
        return {
            "ratelimit": self._kill_ratelimit,
            "Redis, and ratelimit after it": self._kill_counters,
            "Envoy Gateway with its Envoy": self._kill_gateway,
        }

    def _kill_ratelimit(self) -> None:
        assert self._ratelimit
        with killed(self.outage()):
            pass

    def _kill_counters(self) -> None:
        """And ratelimit: it fails a call on each connection that it kept (docs/operations.md)."""
        with killed(self.outage()), killed(self._counters.outage()):
            pass

    def _kill_gateway(self) -> None:
        assert self._gateway
        assert self._ratelimit
        with killed(ProcessOutage(self._gateway)):
            pass
        self._wait_until_in_force(self._gateway, self._written)
        self._ratelimit.wait_until_wanted()

    def apply(self, policy: str) -> None:
        """Restart everything but Valkey for the policy, unless it is in force already; empty the counters.

        Raises:
            StartError: it does not come in force in time; says what is missing, what Envoy Gateway refuses, and its last words.
        """
        if policy != self._policy or self.fail_closed != self._closed:
            self._gateway_stack.close()
            self._policy = None
            self._serve(policy)
            self._policy, self._closed = policy, self.fail_closed
        self._counters.reset()

    def update(self, policy: str) -> None:
        """Give the running Envoy Gateway another version of the policy; only additions and changes (PLATFORM 6.8)."""
        assert self._gateway
        assert self._ratelimit
        documents = self._documents(policy)
        self._ratelimit.wanted = frozenset(limit.shown for limit in self._limits)
        self._gateway.write(documents)
        self._wait_until_in_force(self._gateway, documents)
        self._ratelimit.wait_until_wanted()
        self._policy = policy

    def _documents(self, policy: str) -> Sequence[Document]:
        assert self._host
        url = self._module.image_url if self.by_image else self._module.url
        target = capabilities(ENVOY_GATEWAY, engine=self.engine, module_url=url if self.engine == WASM else None)
        compiled = compile_policies([("policy.yaml", policy)], target)
        assert not has_errors(compiled.diagnostics), [str(d) for d in compiled.diagnostics]
        generated = [document for a in compiled.artifacts for document in yaml.safe_load_all(a.text) if document]
        documents = host_documents(generated, compiled.plan, self._host)
        self._limits = limits_of(documents)
        self._written = documents
        return documents

    def _serve(self, policy: str) -> None:
        ratelimit = GatewayRatelimit(self._programs["ratelimit"], self._home, self._counters.address)
        self._listen = free_port()
        self._host = Host(
            pins()["ENVOY"],
            self._listen,
            Endpoint(_LOOPBACK, self.upstream.port),
            Endpoint.parse(ratelimit.address),
            envoy_certificates(self._home),
        )
        documents = self._documents(policy)
        ratelimit.wanted = frozenset(limit.shown for limit in self._limits)
        gateway = EnvoyGatewayProcess(
            self._programs["envoy-gateway"],
            self._home,
            documents,
            self._counters.address,
            fail_closed=self.fail_closed,
        )
        self._gateway = self._gateway_stack.enter_context(gateway)
        try:
            self._ratelimit = self._gateway_stack.enter_context(ratelimit)
            self._wait_until_in_force(gateway, documents)
        except StartError as error:
            said = [str(error), *refusals(gateway.log_path.read_text("utf-8")), gateway.log_tail(_LOG_LINES)]
            raise StartError("\n".join(said)) from error

    def _wait_until_in_force(self, gateway: EnvoyGatewayProcess, documents: Sequence[Document]) -> None:
        deadline = time.monotonic() + _IN_FORCE_WITHIN
        while absent := self._missing(gateway, documents):
            if gateway.exit_code is not None or time.monotonic() > deadline:
                raise StartError(f"the policy is not in force, for want of {', '.join(absent)}")
            time.sleep(_POLL)

    def _missing(self, gateway: EnvoyGatewayProcess, documents: Sequence[Document]) -> list[str]:
        address = gateway.envoy_admin
        if address is None:
            return ["an Envoy"]
        try:
            status, _ = http_get(address, "/ready")
            _, dump = http_get(address, "/config_dump")
        except OSError:
            return ["an Envoy that answers"]
        if status != 200:
            return ["a ready Envoy"]
        return missing(json.loads(dump), documents, self._limits, self._listen)

    def used(self, limit: int, *values: str) -> int:
        """The counter by its full key, in the window of this moment."""
        found = self._limits[limit]
        return self._counters.get(found.counter(values, window_start(time.time(), found.unit)))

    def logs(self) -> str:
        """The last lines of Envoy Gateway (and of the Envoy that it started) and of ratelimit."""
        running = [process for process in (self._gateway, self._ratelimit) if process and self._policy]
        return "\n\n".join(f"{process.name}:\n{process.log_tail(_LOG_LINES)}" for process in running)
