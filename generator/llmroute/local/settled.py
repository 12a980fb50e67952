"""Waits until a gateway is at rest: every answer has ended, and every charge has landed.

Envoy makes the charge when the stream of an answer is destroyed, after the last byte has gone out; nothing in the
answer says when. Its gauges do: those of streams and connections, then those of calls to the rate limit service.
"""

from __future__ import annotations

import time
from typing import Final

from llmroute.emit.envoy_clusters import RATELIMIT_CLUSTER
from llmroute.emit.envoy_static import LISTENER
from llmroute.local.envoy import EnvoyProcess
from llmroute.local.errors import LocalError
from llmroute.local.ports import http_get

WITHIN: Final = 10.0
"""Seconds in which a gateway comes to rest that has nothing left to do."""
_CONNECTIONS: Final = f"http.{LISTENER}.downstream_cx_active"
_STREAMS: Final = f"http.{LISTENER}.downstream_rq_active"
_CALLS: Final = tuple(f"cluster.{RATELIMIT_CLUSTER}.upstream_rq_{kind}" for kind in ("active", "pending_active"))
_PATH: Final = f"/stats?filter=^({'|'.join((_CONNECTIONS, _STREAMS, *_CALLS))})$"


class Unsettled(LocalError):  # noqa: N818 named by what it is
    """A gateway does not come to rest; says what it is at."""


def connections(envoy: EnvoyProcess) -> int:
    """How many connections of clients are open."""
    return _gauges(envoy)[_CONNECTIONS]


def settle(envoy: EnvoyProcess, still_open: int | None = None, *, under_way: int = 0, within: float = WITHIN) -> None:
    """Wait until no call to the rate limit service is under way, and no answer but so many (``under_way``).

    ``still_open``: at most so many connections are open then. A connection closes after its streams are destroyed, so
    for those that were closed this is exact; None leaves connections aside, for clients that keep theirs.

    Raises:
        Unsettled: something is under way after ``within`` seconds.
    """
    deadline = time.monotonic() + within
    ended = False
    while True:
        gauges = _gauges(envoy)
        # A call that begins when a stream ends is to be seen in the look after that, as gauges are read one by one.
        if ended and not any(gauges[call] for call in _CALLS):
            return
        ended = gauges[_STREAMS] <= under_way and (still_open is None or gauges[_CONNECTIONS] <= still_open)
        if time.monotonic() > deadline:
            busy = ", ".join(f"{name} is {value}" for name, value in gauges.items() if value)
            raise Unsettled(f"the gateway is not at rest after {within:g} s: {busy}")


def _gauges(envoy: EnvoyProcess) -> dict[str, int]:
    """By name; those of calls are not there where no route has a limit."""
    _, body = http_get(envoy.admin_address, _PATH)
    found = {name: int(value) for name, value in (line.split(": ") for line in body.decode().splitlines())}
    return dict.fromkeys(_CALLS, 0) | {name: found[name] for name in (_CONNECTIONS, _STREAMS)} | found
