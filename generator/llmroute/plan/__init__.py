"""The plan: what a policy means, with every default applied and no proxy's word in it.

``lower`` makes it, ``check`` judges it, ``emit`` writes it for a target. It is frozen and
total: nothing after ``lower`` knows a default.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass

from llmroute.diagnostic import Origin
from llmroute.plan.identity import ApiKey, Identity, Jwt, MetadataHeader
from llmroute.plan.limits import Kind, Limit, Match, Selector, Token, Unit, Weights
from llmroute.plan.terms import Admission, IncludeUsage, Mode, OnDisconnect, OnMissing, Settle, Usage

__all__ = [
    "Admission",
    "ApiKey",
    "Backend",
    "Endpoint",
    "GatewayRef",
    "Identity",
    "IncludeUsage",
    "Jwt",
    "Kind",
    "Limit",
    "Match",
    "MetadataHeader",
    "Mode",
    "OnDisconnect",
    "OnMissing",
    "Plan",
    "Route",
    "Selector",
    "Settle",
    "Token",
    "Unit",
    "Usage",
    "Weights",
]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A host name or an IP address, a port, and whether TLS is spoken there."""

    host: str
    port: int
    tls: bool = False

    @classmethod
    def parse(cls, text: str) -> Endpoint:
        """``HOST:PORT``, an IPv6 address in brackets. ValueError if it is none."""
        host, _, port = text.rpartition(":")
        if not host or not port.isdecimal() or int(port) > 65535:
            raise ValueError(f"{text!r} is not HOST:PORT")
        return cls(host.removeprefix("[").removesuffix("]"), int(port))

    @property
    def is_ip(self) -> bool:
        """Whether ``host`` is an address and no name."""
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            return False
        return True

    def __str__(self) -> str:
        """``HOST:PORT``, an IPv6 address in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Backend:
    """Where requests go, those for its ``models`` also when they name no backend ("*": those nobody else has).

    ``endpoints`` is empty when the input does not say where that is.
    """

    name: str
    kind: str
    group: str
    port: int | None
    limits: tuple[Limit, ...]
    endpoints: tuple[Endpoint, ...]
    origin: Origin
    models: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GatewayRef:
    """A Gateway that the route attaches to, in the route's own namespace."""

    name: str
    kind: str
    group: str


@dataclass(frozen=True, slots=True)
class Route:
    """One LLMRoute.

    ``namespace`` is None where the source names none (the applying side chooses).
    ``header_defaults`` names every header that a limit selects on, but for the model's, with the
    value that a request without it gets; so no limit is skipped by leaving a header out.
    ``limits_of_all`` are those across all backends. ``metadata_headers`` are set from what other filters
    found out, so that limits can select on it. ``body_limit_bytes`` is the longest request body that is held
    to be read. ``timeout_seconds`` bounds a whole answer. ``digest`` is a hash of the LLMRoute's content.
    """

    name: str
    namespace: str | None
    gateways: tuple[GatewayRef, ...]
    backends: tuple[Backend, ...]
    header_defaults: tuple[tuple[str, str], ...]
    limits_of_all: tuple[Limit, ...]
    metadata_headers: tuple[MetadataHeader, ...]
    identity: Identity
    usage: Usage
    admission: Admission
    body_limit_bytes: int
    timeout_seconds: int
    digest: str
    origin: Origin

    @property
    def takes_unnamed(self) -> bool:
        """Whether a request that names no backend comes here: with one backend there is no choice."""
        return len(self.backends) == 1

    @property
    def routes_by_model(self) -> bool:
        """Whether the model chooses the backend of a request that names none."""
        return any(backend.models for backend in self.backends)

    @property
    def undecided(self) -> bool:
        """Whether there are requests that come to no backend before the model has chosen one of several."""
        return self.routes_by_model and not self.takes_unnamed

    def tells(self, backend: Backend | None) -> bool:
        """Whether a limit of ``backend`` has to say so: one of several, and not all of them (None)."""
        return backend is not None and len(self.backends) > 1

    @property
    def weighted(self) -> tuple[Weights, ...]:
        """Each set of weights once, in the order of the limits."""
        found = (limit.counts for _, limit in self.limits() if isinstance(limit.counts, Weights))
        return tuple(dict.fromkeys(found))

    def limits(self) -> Iterator[tuple[Backend | None, Limit]]:
        """Every limit with its backend, in the order of the document; those of all backends (None) come last."""
        for backend in self.backends:
            for limit in backend.limits:
                yield backend, limit
        for limit in self.limits_of_all:
            yield None, limit


@dataclass(frozen=True, slots=True)
class Plan:
    """All routes of the input, in its order."""

    routes: tuple[Route, ...]
