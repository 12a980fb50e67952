"""A rate limit service that a test can make fail call by call: it stands between Envoy and another one.

It hears of one user at a time. Who calls, and how often before, says which call of an answer it is.
"""

from __future__ import annotations

import contextlib
import enum
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import grpc
from envoy.service.ratelimit.v3 import rls_pb2

from e2e.client import WITHIN
from llmroute.local.gateway import LOOPBACK, RateLimitService
from llmroute.plan import Endpoint

_METHOD: Final = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit"
_THREADS: Final = 16


class Caller(enum.Enum):
    """Who calls, and what for."""

    PROXY = enum.auto()
    LOOKING = enum.auto()
    """The filter, for the counters as they are."""
    CHARGING = enum.auto()
    """The filter, to charge."""


class Call(enum.Enum):
    """The calls of one answer: by whom, and the how many-eth of theirs. There may be further looks."""

    CHECK = (Caller.PROXY, 1)
    LOOK = (Caller.LOOKING, 1)
    CHARGE = (Caller.CHARGING, 1)
    SECOND_LOOK = (Caller.LOOKING, 2)
    THIRD_LOOK = (Caller.LOOKING, 3)
    END = (Caller.PROXY, 2)


Conduct = Callable[["Between", Any, Any], Any]
"""What to do with a call instead of passing it on: of the service, the request and the gRPC context; the response."""


class Between:
    """The service. ``charged`` is what the filter and the proxy have charged since the last ``plan``, call by call."""

    def __init__(self, behind: grpc.Channel) -> None:
        self._pass_on = behind.unary_unary(
            _METHOD, rls_pb2.RateLimitRequest.SerializeToString, rls_pb2.RateLimitResponse.FromString
        )
        self._changed = threading.Condition()
        self._user = ""
        self._conduct: Mapping[Call, Conduct] = {}
        self._came = dict.fromkeys(Caller, 0)
        self._answered = dict.fromkeys(Caller, 0)
        self.released = threading.Event()
        """Set when hung calls may end."""
        self.charged: list[tuple[Caller, int]] = []

    def plan(self, user: str, conduct: Mapping[Call, Conduct] | None = None) -> None:
        """From now on hear of this user's calls, and do otherwise with these."""
        with self._changed:
            self._user, self._conduct, self.charged = user, conduct or {}, []
            self._came = dict.fromkeys(Caller, 0)
            self._answered = dict.fromkeys(Caller, 0)
            self.released.clear()

    def answer(self, request: Any, context: Any) -> Any:
        """One call."""
        if all(self._user != entry.value for d in request.descriptors for entry in d.entries):
            return self.pass_on(request)
        hits = sum(d.hits_addend.value for d in request.descriptors)
        # Envoy says of the filter's calls how long they are, of its own it does not.
        by_filter = any(key == "content-length" for key, _ in context.invocation_metadata())
        caller = (Caller.CHARGING if hits else Caller.LOOKING) if by_filter else Caller.PROXY
        with self._changed:
            answered = self._answered  # by the time that it is, there may be another plan
            self._came[caller] += 1
            conduct = next(
                (do for call, do in self._conduct.items() if call.value == (caller, self._came[caller])), None
            )
            if hits:
                self.charged.append((caller, hits))
            self._changed.notify_all()
        try:
            return conduct(self, request, context) if conduct else self.pass_on(request)
        finally:
            with self._changed:
                answered[caller] += 1
                self._changed.notify_all()

    def pass_on(self, request: Any) -> Any:
        """What the service behind says."""
        return self._pass_on(request, timeout=WITHIN)

    def wait_for(self, call: Call, *, answered: bool = False) -> None:
        """Until it has come, or has been answered."""
        caller, count = call.value
        with self._changed:
            done = self._changed.wait_for(lambda: (self._answered if answered else self._came)[caller] >= count, WITHIN)
            assert done, self._came

    def looks(self) -> int:
        """How often the filter has looked."""
        return self._came[Caller.LOOKING]


def fails(_: Between, __: Any, context: Any) -> Any:
    """An error, and nothing is counted."""
    context.abort(grpc.StatusCode.UNAVAILABLE, "the test says so")


def hangs(between: Between, _: Any, context: Any) -> Any:
    """No answer until the test is over, and nothing is counted."""
    between.released.wait(WITHIN)
    context.abort(grpc.StatusCode.UNAVAILABLE, "the test is over")


def knows_no_limit(_: Between, request: Any, __: Any) -> Any:
    """As of descriptors that are in no configuration: OK to everything, and nothing is counted."""
    status = rls_pb2.RateLimitResponse.DescriptorStatus(code=rls_pb2.RateLimitResponse.OK)
    return rls_pb2.RateLimitResponse(
        overall_code=rls_pb2.RateLimitResponse.OK, statuses=[status] * len(request.descriptors)
    )


def is_overtaken(between: Between, request: Any, _: Any) -> Any:
    """Of the filter's charge: counted only after the look that is sent next has been answered."""
    between.wait_for(Call.SECOND_LOOK, answered=True)
    return between.pass_on(request)


def waits_for_the_charge(between: Between, request: Any, _: Any) -> Any:
    """Of a later look: answered when the charge has been."""
    between.wait_for(Call.CHARGE, answered=True)
    return between.pass_on(request)


def between(behind: RateLimitService, started: Callable[[Between], None]) -> RateLimitService:
    """The service in front of another one; ``started`` is handed it."""

    @contextlib.contextmanager
    def start(files: list[Path], directory: Path) -> Iterator[Endpoint]:
        with contextlib.ExitStack() as exits:
            address = exits.enter_context(behind(files, directory))
            service = Between(exits.enter_context(grpc.insecure_channel(str(address))))
            pool = exits.enter_context(ThreadPoolExecutor(_THREADS))
            server = grpc.server(pool, options=[("grpc.so_reuseport", 0)])
            handler = grpc.unary_unary_rpc_method_handler(
                service.answer, rls_pb2.RateLimitRequest.FromString, rls_pb2.RateLimitResponse.SerializeToString
            )
            name, method = _METHOD.strip("/").split("/")
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, {method: handler}),))
            port = server.add_insecure_port(f"{LOOPBACK}:0")
            server.start()
            exits.callback(lambda: server.stop(0).wait())
            exits.callback(service.released.set)
            started(service)
            yield Endpoint(LOOPBACK, port)

    return start
