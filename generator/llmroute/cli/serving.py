"""A local gateway for a command: what can go wrong on the way is one line for the user."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

from llmroute.cli.exits import Failure
from llmroute.local.errors import LocalError
from llmroute.local.gateway import LOOPBACK, Gateway, RateLimitService, serve
from llmroute.local.ports import port_is_free
from llmroute.plan import Endpoint, Plan
from llmroute.targets import LUA


@contextlib.contextmanager
def serving(  # noqa: PLR0913 what a gateway can be told
    plan: Plan,
    service: RateLimitService,
    listen: Endpoint = Endpoint(LOOPBACK, 0),
    *,
    fail_closed: bool = True,
    access_log: Path | None = None,
    engine: str = LUA,
) -> Iterator[Gateway]:
    """``local.gateway.serve``; raises ``Failure`` when the port is taken or a part does not start."""
    try:
        # Envoy takes addresses only.
        host = str(socket.getaddrinfo(listen.host, listen.port, type=socket.SOCK_STREAM)[0][4][0])
        if not port_is_free(host, listen.port):
            raise Failure(f"cannot listen on {listen}: the port is in use")
    except OSError as error:
        raise Failure(f"cannot listen on {listen}: {error.strerror or error}") from error
    listen = Endpoint(host, listen.port)
    try:
        with serve(plan, service, listen, fail_closed=fail_closed, access_log=access_log, engine=engine) as gateway:
            yield gateway
    except LocalError as error:
        raise Failure(str(error)) from error
