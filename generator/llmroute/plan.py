"""The plan: what a policy means, with every default applied and no proxy's word in it.

``lower`` makes it, ``check`` judges it, ``emit`` writes it for a target. It is frozen and
total: nothing after ``lower`` knows a default.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

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


class Token(enum.StrEnum):
    """Which tokens of an answer a limit counts."""

    TOTAL = "Total"
    PROMPT = "Prompt"
    COMPLETION = "Completion"


class Unit(enum.StrEnum):
    """A fixed window, aligned to the Unix epoch."""

    SECOND = "Second"
    MINUTE = "Minute"
    HOUR = "Hour"
    DAY = "Day"
    WEEK = "Week"
    MONTH = "Month"
    YEAR = "Year"

    @property
    def seconds(self) -> int:
        """Length of the window in seconds; a month has 30 days, a year 365 (envoyproxy/ratelimit)."""
        return _SECONDS[self.value]


_DAY: Final = 86400
_SECONDS: Final = {
    "Second": 1,
    "Minute": 60,
    "Hour": 3600,
    "Day": _DAY,
    "Week": 7 * _DAY,
    "Month": 30 * _DAY,
    "Year": 365 * _DAY,
}


@dataclass(frozen=True, slots=True)
class Weights:
    """What a token of each kind costs, at most six decimals; the sum over an answer is rounded up.

    ``prompt`` is for prompt tokens that neither came from a cache nor went into one, ``completion`` for those
    that are no reasoning.
    """

    prompt: Decimal
    cached_prompt: Decimal
    cache_write: Decimal
    completion: Decimal
    reasoning: Decimal


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

    ``counts`` says which tokens, of a token limit. A ``shadow`` counts and never refuses.

    ``id`` is unique in its route and derives from what the limit counts, not from its place or
    quantity: a counter lives on when other limits come and go, or when the quantity changes.
    """

    id: str
    kind: Kind
    quantity: int
    unit: Unit
    selectors: tuple[Selector, ...]
    origin: Origin
    counts: Token | Weights = Token.TOTAL
    shadow: bool = False


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
class Usage:
    """How an answer is metered that does not say what it cost. ``fixed_tokens`` counts for ``FIXED`` alone."""

    on_missing: OnMissing
    fixed_tokens: int
    on_disconnect: OnDisconnect
    include_usage: IncludeUsage


class Mode(enum.StrEnum):
    """When tokens are booked: after the answer, the prompt before it, or all that it may take before it."""

    POST_PAID = "PostPaid"
    PREPAID_PROMPT = "PrepaidPrompt"
    RESERVE = "Reserve"


class Settle(enum.StrEnum):
    """Whether an answer's charge is booked just after its end, or before it."""

    ASYNC = "Async"
    SYNC = "Sync"


@dataclass(frozen=True, slots=True)
class Admission:
    """How a request is admitted. ``max_tokens`` bounds its answer, ``max_in_flight`` the requests at one time.

    None asks for no bound.
    """

    mode: Mode
    settle: Settle
    max_tokens: int | None
    max_in_flight: int | None
    origin: Origin


@dataclass(frozen=True, slots=True)
class MetadataHeader:
    """A header that the filter sets from dynamic metadata: ``path`` in ``namespace``, or ``default``."""

    header: str
    namespace: str
    path: tuple[str, ...]
    default: str


@dataclass(frozen=True, slots=True)
class Jwt:
    """A signed token whose ``claim`` (a path) is the user. Keys stand in ``inline`` or at ``uri``."""

    name: str
    issuer: str | None
    audiences: tuple[str, ...]
    uri: str | None
    inline: str | None
    claim: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ApiKey:
    """Keys of clients: in Secrets, or ``clients`` (name, key) where the input has those Secrets.

    ``headers``, ``params`` and ``cookies`` are where a request may have its key.
    """

    secrets: tuple[str, ...]
    clients: tuple[tuple[str, str], ...]
    headers: tuple[str, ...]
    params: tuple[str, ...]
    cookies: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks: ``header``, set from ``jwt`` or ``api_key`` where there is one. ``reject``: or else a 401."""

    header: str
    reject: bool
    jwt: Jwt | None
    api_key: ApiKey | None
    origin: Origin


@dataclass(frozen=True, slots=True)
class Route:
    """One LLMRoute.

    ``namespace`` is None where the source names none (the applying side chooses).
    ``header_defaults`` names every header that a limit selects on, but for the model's, with the
    value that a request without it gets; so no limit is skipped by leaving a header out.
    ``limits_of_all`` are those across all backends. ``metadata_headers`` are set from what other filters
    found out, so that limits can select on it. ``body_limit_bytes`` is
    the longest request body that is held to be read. ``timeout_seconds`` bounds a whole answer.
    ``digest`` is a hash of the LLMRoute's content.
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
