"""A rate limit service in this process: the gRPC API of envoyproxy/ratelimit over the reference limiter.

For laptops and tests. It serves ``envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit`` without
TLS, reads the same configuration files as the real service, and forgets all counts when it stops.
gRPC and the protobufs are imported when it starts, not before: they take longer than the rest of us.

Beyond the real service it takes refunds and holds (``admission.mode: Reserve``): an
entry ``llmroute_hold`` of a descriptor makes it a hold, the answer's dynamic metadata then says when that was
counted, and an entry ``llmroute_held_at`` of a refund says it back. Neither is part of a counter's name.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, Self

from llmroute import names
from llmroute.limiter.config import ConfigError, Domain, Rate, parse
from llmroute.limiter.limiter import Decision, Descriptor, Limiter, RequestError, Status
from llmroute.limiter.window import Clock, Unit
from llmroute.local.errors import LocalError, MissingTool, StartError
from llmroute.local.ports import port_is_free

_THREADS: Final = 4
_STOP_WITHIN: Final = 1.0
"""Seconds that calls in flight get to finish."""
_OURS: Final = frozenset({names.HOLD_KEY, names.HELD_AT})
_IS_NEGATIVE_HITS: Final = 4
"""Field of ``RateLimitDescriptor`` in Envoy 1.39's API; xds-protos 1.85 does not know it yet."""


class EmbeddedRateLimit:
    """Serves while the ``with`` block runs. ``clock`` is in Unix seconds; port 0 takes a free one.

    The port is the same from one start to the next.

    Raises (when made):
        ConfigError: when a file cannot be read or served as written, or two have the same domain.
    Raises (on entering):
        StartError: when the address is taken.
        MissingTool: when gRPC is not installed.
    """

    def __init__(
        self,
        config_files: Sequence[Path],
        clock: Clock = time.time,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self._limiter = Limiter([_read(file) for file in config_files], clock)
        self._host = host
        self._port = port
        self._bound: int | None = None
        self._server: Any = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def address(self) -> str:
        """``host:port`` that it listens on."""
        if self._bound is None:
            raise LocalError("the rate limit service is not running")
        return f"{self._host}:{self._bound}"

    def counters(self) -> Mapping[str, int]:
        """Counts of the running windows, by the key that the real service has in Redis."""
        return self._limiter.counters()

    def reset(self) -> None:
        """Forget every count."""
        self._limiter.reset()

    def start(self) -> None:
        """Start to listen; ``with`` does this."""
        if self._server is not None:
            raise LocalError("the rate limit service is running already")
        try:
            import grpc  # noqa: PLC0415
            from envoy.service.ratelimit.v3 import rls_pb2_grpc  # noqa: PLC0415
        except ImportError as error:
            raise MissingTool(f"{error.name} is not installed: pip install 'llmroute[local]'") from error
        # Two servers on one port would share its calls, and each would count half.
        server = grpc.server(ThreadPoolExecutor(_THREADS), options=[("grpc.so_reuseport", 0)])
        rls_pb2_grpc.add_RateLimitServiceServicer_to_server(_Servicer(self._limiter), server)
        self._port = self._bound = self._bind(server)
        server.start()
        self._server = server

    def _bind(self, server: Any) -> int:
        address = f"{self._host}:{self._port}"
        try:
            if port_is_free(self._host, self._port):  # gRPC would write its own story to stderr
                return int(server.add_insecure_port(address))
        except (OSError, RuntimeError) as error:
            raise StartError(f"the rate limit service cannot listen on {address}: {error}") from error
        raise StartError(f"the rate limit service cannot listen on {address}: it is in use")

    def stop(self) -> None:
        """Stop to listen and end the calls in flight; does nothing when it is not running."""
        if self._server is not None:
            self._server.stop(_STOP_WITHIN).wait()
            self._server = self._bound = None


def _read(file: Path) -> Domain:
    try:
        return parse(file.read_text("utf-8"), str(file))
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: not UTF-8") from error


class _Servicer:
    """Translates between the wire and the limiter."""

    def __init__(self, limiter: Limiter) -> None:
        from envoy.service.ratelimit.v3 import rls_pb2  # noqa: PLC0415
        from google.protobuf.unknown_fields import UnknownFieldSet  # noqa: PLC0415

        self._limiter = limiter
        self._messages = rls_pb2
        self._unknown_fields = UnknownFieldSet

    def ShouldRateLimit(self, request: Any, context: Any) -> Any:  # noqa: N802  # the RPC's name
        """Answer one call; one that cannot be decided gets status UNKNOWN, as from the real service."""
        import grpc  # noqa: PLC0415

        try:
            descriptors = [self._descriptor(each) for each in request.descriptors]
            decision = self._limiter.should_rate_limit(request.domain, descriptors, request.hits_addend)
        except RequestError as error:
            context.abort(grpc.StatusCode.UNKNOWN, str(error))
        if decision.held_at is not None and not context.is_active():
            # Who asked has left or waits no longer, and will never give back what was counted for it.
            undone = [_undone(each, decision.held_at) for each in descriptors]
            self._limiter.should_rate_limit(request.domain, undone, request.hits_addend)
        return self._response(decision)

    def _descriptor(self, wire: Any) -> Descriptor:
        entries = [(entry.key, entry.value) for entry in wire.entries]
        said = dict(entries)
        return Descriptor(
            tuple(entry for entry in entries if entry[0] not in _OURS),
            wire.hits_addend.value if wire.HasField("hits_addend") else None,
            self._is_negative(wire),
            _override(wire.limit) if wire.HasField("limit") else None,
            names.HOLD_KEY in said,
            _seconds(said[names.HELD_AT]) if names.HELD_AT in said else None,
        )

    def _is_negative(self, wire: Any) -> bool:
        if "is_negative_hits" in wire.DESCRIPTOR.fields_by_name:
            return bool(wire.is_negative_hits)
        unknown: Any = self._unknown_fields(wire)  # a sequence, which types-protobuf does not say
        return any(field.data for field in unknown if field.field_number == _IS_NEGATIVE_HITS)

    def _response(self, decision: Decision) -> Any:
        response = self._messages.RateLimitResponse(
            overall_code=int(decision.code), statuses=[self._status(each) for each in decision.statuses]
        )
        if decision.held_at is not None:
            response.dynamic_metadata.update({names.HELD_AT: str(decision.held_at)})  # a descriptor takes text alone
        return response

    def _status(self, status: Status) -> Any:
        response = self._messages.RateLimitResponse
        wire = response.DescriptorStatus(code=int(status.code), limit_remaining=status.remaining)
        if status.limit is not None:
            rate = status.limit
            wire.current_limit.requests_per_unit = rate.requests_per_unit
            wire.current_limit.unit = int(rate.unit)
            wire.current_limit.name = rate.name
        if status.reset is not None:
            wire.duration_until_reset.seconds = status.reset
        return wire


def _undone(descriptor: Descriptor, held_at: int) -> Descriptor:
    """What takes back what ``descriptor`` has counted."""
    return dataclasses.replace(descriptor, is_negative_hits=True, hold=False, held_at=held_at)


def _seconds(text: str) -> int:
    if not text.isascii() or not text.isdecimal():
        raise RequestError(f"{names.HELD_AT} must be Unix seconds, not {text!r}")
    return int(text)


def _override(wire: Any) -> Rate:
    if wire.unit not in list(Unit):
        raise RequestError(f"unknown unit {wire.unit} of a limit override")
    return Rate(wire.requests_per_unit, Unit(wire.unit))
