"""Who asks, and headers that say what other filters found out."""

from __future__ import annotations

from dataclasses import dataclass

from llmroute.diagnostic import Origin


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
