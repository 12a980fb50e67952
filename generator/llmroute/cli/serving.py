"""A local gateway for a command: what can go wrong on the way is one line for the user."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from llmroute.cli.exits import Failure
from llmroute.local.errors import LocalError
from llmroute.local.gateway import LOOPBACK, Gateway, RateLimitService, serve
from llmroute.local.ports import port_is_free
from llmroute.plan import Endpoint, Plan


@contextlib.contextmanager
def serving(
    plan: Plan, service: RateLimitService, listen: Endpoint = Endpoint(LOOPBACK, 0), *, fail_closed: bool = True
) -> Iterator[Gateway]:
    """``local.gateway.serve``; raises ``Failure`` when the port is taken or a part does not start."""
    if not port_is_free(listen.host, listen.port):
        raise Failure(f"cannot listen on {listen}: the port is in use, or the address is not this machine's")
    try:
        with serve(plan, service, listen, fail_closed=fail_closed) as gateway:
            yield gateway
    except LocalError as error:
        raise Failure(str(error)) from error
