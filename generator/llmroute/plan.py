"""The plan: what a policy means, with every default applied and no proxy's word in it.

``lower`` makes it, ``check`` judges it, ``emit`` writes it for a target. It is frozen and
total: nothing after ``lower`` knows a default.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass

from llmroute.diagnostic import Origin


class Match(enum.StrEnum):
    """How a selector compares a header. ``DISTINCT`` matches any value and counts each apart."""

    EXACT = "Exact"
    REGEX = "RegularExpression"
    DISTINCT = "Distinct"


class Kind(enum.StrEnum):
    """What a limit counts; the value is the suffix of the response headers."""

    TOKENS = "tokens"
    REQUESTS = "requests"


class OnMissing(enum.StrEnum):
    """What a successful answer without usage is charged: an estimate, nothing, or a fixed number."""

    ESTIMATE = "Estimate"
    FREE = "Free"
    FIXED = "Fixed"


class OnDisconnect(enum.StrEnum):
    """What an answer is charged that its client did not wait for: what was seen of it, or nothing."""

    CHARGE = "Charge"
    FREE = "Free"


class IncludeUsage(enum.StrEnum):
    """Whether a stream is made to report its usage when the client did not ask for it."""

    FORCE = "Force"
    KEEP = "Keep"


class Unit(enum.StrEnum):
    """A fixed window, aligned to the Unix epoch."""

    SECOND = "Second"
    MINUTE = "Minute"
    HOUR = "Hour"
    DAY = "Day"

    @property
    def seconds(self) -> int:
        """Length of the window in seconds."""
        return {"Second": 1, "Minute": 60, "Hour": 3600, "Day": 86400}[self.value]


@dataclass(frozen=True, slots=True)
class Selector:
    """One condition on a request header; ``header`` is lower case."""

    header: str
    match: Match
    value: str | None
    origin: Origin


@dataclass(frozen=True, slots=True)
class Limit:
    """One quantity per window, for the requests that all ``selectors`` match.

    ``id`` is unique in its route and derives from what the limit counts, not from its place or
    quantity: a counter lives on when other limits come and go, or when the quantity changes.
    """

    id: str
    kind: Kind
    quantity: int
    unit: Unit
    selectors: tuple[Selector, ...]
    origin: Origin


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

    def __str__(self) -> str:
        """``HOST:PORT``, an IPv6 address in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Backend:
    """Where requests go. ``endpoints`` is empty when the input does not say where that is."""

    name: str
    kind: str
    group: str
    port: int | None
    limits: tuple[Limit, ...]
    endpoints: tuple[Endpoint, ...]
    origin: Origin


@dataclass(frozen=True, slots=True)
class GatewayRef:
    """A Gateway that the route attaches to, in the route's own namespace."""

    name: str
    kind: str
    group: str


@dataclass(frozen=True, slots=True)
class Usage:
    """How an answer is metered that does not say what it cost. ``fixed_tokens`` counts for ``FIXED`` alone."""

    on_missing: OnMissing
    fixed_tokens: int
    on_disconnect: OnDisconnect
    include_usage: IncludeUsage


@dataclass(frozen=True, slots=True)
class Route:
    """One LLMRoute.

    ``namespace`` is None where the source names none (the applying side chooses).
    ``header_defaults`` names every header that a limit selects on, but for the model's, with the
    value that a request without it gets; so no limit is skipped by leaving a header out.
    ``max_tokens`` bounds what a request may ask for; None asks for no bound. ``body_limit_bytes`` is
    the longest request body that is held to be read. ``timeout_seconds`` bounds a whole answer.
    ``digest`` is a hash of the LLMRoute's content.
    """

    name: str
    namespace: str | None
    gateways: tuple[GatewayRef, ...]
    backends: tuple[Backend, ...]
    header_defaults: tuple[tuple[str, str], ...]
    usage: Usage
    max_tokens: int | None
    body_limit_bytes: int
    timeout_seconds: int
    digest: str
    origin: Origin

    @property
    def takes_unnamed(self) -> bool:
        """Whether a request that names no backend comes here: with one backend there is no choice."""
        return len(self.backends) == 1

    def limits(self) -> Iterator[tuple[Backend, Limit]]:
        """Every limit with its backend, in the order of the document."""
        for backend in self.backends:
            for limit in backend.limits:
                yield backend, limit


@dataclass(frozen=True, slots=True)
class Plan:
    """All routes of the input, in its order."""

    routes: tuple[Route, ...]
