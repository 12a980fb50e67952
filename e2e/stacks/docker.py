"""The ``docker`` stack: the files of the ``compose`` target, run with Docker, and the fake OpenAI beside them.

What runs is what ``compose.yaml`` says, except that all ports are published on free ones, that ratelimit's
counters and the fake's control are published too, and that nothing is restarted.
"""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import redis

from e2e.stacks.compose_file import Service, services
from e2e.stacks.containers import Project
from e2e.stacks.protocol import Unavailable
from e2e.stacks.remote_upstream import RemoteUpstream
from llmroute.conformance.adapters.plain import counter_of
from llmroute.diagnostic import has_errors
from llmroute.emit import Artifact
from llmroute.emit.compose import COMPOSE, ENVOY_SERVICE, RATELIMIT_SERVICE, REDIS_PORT, REDIS_SERVICE
from llmroute.emit.envoy_static import EnvoyOptions
from llmroute.pipeline import compile_policies
from llmroute.plan import Endpoint, Plan
from llmroute.targets import COMPOSE as TARGET
from llmroute.targets import capabilities

_BUILD: Final = Path(__file__).resolve().parent.parent / "images" / "build.sh"
_UPSTREAM: Final = Endpoint("upstream", 8080)
_GATEWAY_PORT: Final = EnvoyOptions().listen.port
_WITHIN: Final = 5.0
"""Seconds for an answer of Redis."""


class DockerStack:
    """Redis and the fake OpenAI live as long as the stack; Envoy and ratelimit are new for each policy."""

    def __init__(self) -> None:
        self.images = images()
        self.project = Project()
        self._exits = contextlib.ExitStack()
        self.directory = Path()
        self._upstream: RemoteUpstream | None = None
        self._redis: Any = None  # redis types its commands for both its clients, the asynchronous one too
        self._policy: str | None = None
        self._plan = Plan(())

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as exits:
            self.directory = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="llmroute-")))
            exits.enter_context(self.project)
            self.project.start(_fake(self.images["LLMROUTE_UPSTREAM_IMAGE"]))
            self._upstream = RemoteUpstream(f"http://{self.project.address(_UPSTREAM.host, _UPSTREAM.port)}")
            exits.callback(self._upstream.close)
            exits.callback(self._forget)
            self._exits = exits.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exits.close()

    @property
    def upstream(self) -> RemoteUpstream:
        """The fake OpenAI, by its control."""
        assert self._upstream
        return self._upstream

    @property
    def url(self) -> str:
        """Where Envoy takes traffic."""
        return f"http://{self.project.address(ENVOY_SERVICE, _GATEWAY_PORT)}"

    def apply(self, policy: str) -> None:
        """Start Envoy and ratelimit for the policy, and empty the counters."""
        if policy != self._policy:
            self._policy = None
            compiled = compile_policies([("policy.yaml", policy)], capabilities(TARGET), stand_ins={None: _UPSTREAM})
            assert not has_errors(compiled.diagnostics), [str(d) for d in compiled.diagnostics]
            self._serve(compiled.artifacts)
            self._policy, self._plan = policy, compiled.plan
        self._redis.flushall()

    def used(self, limit: int, *values: str) -> int:
        """The counter by its full key: nothing else may be counted under another."""
        return int(self._redis.get(counter_of(self._plan, limit, values, time.time())) or 0)

    def logs(self) -> str:
        """The last lines of each container."""
        return self.project.logs()

    def _serve(self, artifacts: tuple[Artifact, ...]) -> None:
        """Run the services of ``compose.yaml``; Redis only where it does not run yet."""
        folder = Path(tempfile.mkdtemp(dir=self.directory))
        for name in (ENVOY_SERVICE, RATELIMIT_SERVICE):
            self.project.remove(name)
        for artifact in artifacts:
            path = folder / artifact.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(artifact.text, encoding="utf-8")
        for service in services(folder / COMPOSE, self.images):
            if service.name == REDIS_SERVICE:
                if self._redis is None:
                    self.project.start(service, publish=(REDIS_PORT,))
                    self._redis = _client(self.project.address(REDIS_SERVICE, REDIS_PORT))
            else:
                self.project.start(service)

    def _forget(self) -> None:
        if self._redis is not None:
            self._redis.close()
            self._redis = None


def images() -> dict[str, str]:
    """Images by the variable that names them, made where they cannot be pulled.

    Raises:
        Unavailable: no engine runs, or one can neither be pulled nor made; the message says why.
    """
    built = subprocess.run([_BUILD], capture_output=True, text=True, check=False)
    if built.returncode:
        raise Unavailable(built.stderr.strip().rpartition("\n")[2])
    return dict(line.split("=", 1) for line in built.stdout.splitlines())


def _fake(image: str) -> Service:
    asks = "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/healthz', timeout=2)"
    health = ("python3", "-c", asks)
    return Service(_UPSTREAM.host, image, (), {}, (), (_UPSTREAM.port,), {}, health, ())


def _client(address: str) -> Any:
    host, _, port = address.rpartition(":")
    return redis.Redis(host=host, port=int(port), socket_timeout=_WITHIN)
