"""``spec.identity`` as typed values."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from llmroute.api.v1alpha1.base import LABEL, Model, Name


class LocalJwks(Model):
    """A set of keys, as JSON."""

    inline: Annotated[str, Field(min_length=1)]
    """The set's JSON."""


class RemoteJwks(Model):
    """Where a set of keys is fetched."""

    uri: Annotated[str, Field(pattern=r"^https?://", max_length=253)]
    """Of the set's JSON."""


class JwtProvider(Model):
    """Who signs tokens, and with which keys."""

    name: Annotated[str, Field(min_length=1, max_length=253, pattern=LABEL)]
    """A name for it, which metadata matches begin with."""
    issuer: str | None = None
    """The `iss` that tokens must have. Default: any."""
    audiences: Annotated[tuple[str, ...], Field(max_length=8)] = ()
    """One of which must be in `aud`. Default: any."""
    remote_jwks: Annotated[RemoteJwks | None, Field(alias="remoteJWKS")] = None
    """Keys that are fetched; this or `localJWKS`."""
    local_jwks: Annotated[LocalJwks | None, Field(alias="localJWKS")] = None
    """Keys that stand here; this or `remoteJWKS`."""


class JwtSpec(Model):
    """The user is a claim of a verified token; ``claim`` may be a path with dots."""

    provider: JwtProvider | None = None
    """Required."""
    claim: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    """What names the user. Default: `sub`."""


class SecretRef(Model):
    """A Secret in the route's namespace: client name -> API key."""

    name: Name
    """Of the Secret."""
    kind: Literal["Secret"] | None = None
    """The only kind. Default: `Secret`."""
    group: Literal[""] | None = None
    """Its API. Default: empty, as it is for Secrets."""


class ExtractFrom(Model):
    """Where a request has its API key: the first that is there counts."""

    headers: tuple[str, ...] = ()
    """Names of headers."""
    params: tuple[str, ...] = ()
    """Names of query parameters."""
    cookies: tuple[str, ...] = ()
    """Names of cookies."""


class ApiKeySpec(Model):
    """The user is the client whose API key the request has."""

    credential_refs: Annotated[tuple[SecretRef, ...], Field(min_length=1)]
    """Secrets with the clients' keys."""
    extract_from: tuple[ExtractFrom, ...] | None = None
    """Places that may hold the key. Default: the header `x-api-key`."""


class IdentitySpec(Model):
    """Who asks, and what happens to requests that do not say."""

    header: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    """Holds the user. Default: `x-user-id`."""
    on_missing: Literal["Anonymous", "Reject"] | None = None
    """`Reject` answers 401. Default: `Anonymous`; `Reject` with API keys."""
    jwt: JwtSpec | None = None
    """The user is a claim of a verified token; this or `apiKey`."""
    api_key: ApiKeySpec | None = None
    """The user is the client whose API key a request has; this or `jwt`."""
