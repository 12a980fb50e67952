"""A gateway on this machine: a plan, a rate limit service and an Envoy, started and stopped together."""

from __future__ import annotations

import contextlib
import ssl
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from llmroute.emit.envoy_clusters import TRUSTED_CA
from llmroute.emit.envoy_static import LISTENER, EnvoyOptions, envoy_static
from llmroute.emit.ratelimit_config import ratelimit_config
from llmroute.local.envoy import EnvoyProcess
from llmroute.plan import Endpoint, Plan
from llmroute.targets import LUA

LOOPBACK: Final = "127.0.0.1"

RateLimitService = Callable[[list[Path], Path], contextlib.AbstractContextManager[Endpoint]]
"""Starts a rate limit service on configuration files, with a directory for its own use; gives its gRPC address."""

Edit = Callable[[str], str]
"""From Envoy's bootstrap to the one that it gets."""


def as_it_is(bootstrap: str) -> str:
    """The edit that changes nothing."""
    return bootstrap


@dataclass(frozen=True, slots=True)
class Gateway:
    """A running gateway. ``url`` takes traffic."""

    url: str
    envoy: EnvoyProcess


@contextlib.contextmanager
def serve(  # noqa: PLR0913 what a bootstrap can be told
    plan: Plan,
    service: RateLimitService,
    listen: Endpoint = Endpoint(LOOPBACK, 0),
    *,
    fail_closed: bool = True,
    access_log: Path | None = None,
    usage_counters: bool = False,
    engine: str = LUA,
    edit: Edit = as_it_is,
) -> Iterator[Gateway]:
    """Serve ``plan`` on ``listen`` (port 0 takes a free one) until the context ends.

    ``fail_closed``, ``access_log``, ``usage_counters`` and ``engine`` are those of ``EnvoyOptions``. ``edit`` is for a
    suite that has to find a defect which it put there itself.

    Raises ``StartError`` or ``MissingTool`` of ``local.processes`` when a part does not start.
    """
    with tempfile.TemporaryDirectory(prefix="llmroute-") as name, contextlib.ExitStack() as stack:
        directory = Path(name)
        address = stack.enter_context(service(_write_config(plan, directory), directory))
        options = EnvoyOptions(
            listen=listen,
            admin=Endpoint(LOOPBACK, 0),
            ratelimit=address,
            fail_closed=fail_closed,
            trusted_ca=ssl.get_default_verify_paths().cafile or TRUSTED_CA,
            access_log=str(access_log.absolute()) if access_log else None,
            usage_counters=usage_counters,
            engine=engine,
        )
        envoy = stack.enter_context(EnvoyProcess(edit(envoy_static(plan, options).text), directory / "envoy"))
        host, port = envoy.listener_address(LISTENER)
        yield Gateway(f"http://{Endpoint(host, port)}", envoy)


def _write_config(plan: Plan, directory: Path) -> list[Path]:
    paths = []
    for artifact in ratelimit_config(plan):
        path = directory / artifact.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(artifact.text, encoding="utf-8")
        paths.append(path)
    return paths
