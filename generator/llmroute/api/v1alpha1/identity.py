"""``spec.identity`` as typed values."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from llmroute.api.v1alpha1.base import LABEL, Model, Name


class LocalJwks(Model):
    """A set of keys, as JSON."""

    inline: Annotated[str, Field(min_length=1)]


class RemoteJwks(Model):
    """Where a set of keys is fetched."""

    uri: Annotated[str, Field(pattern=r"^https?://", max_length=253)]


class JwtProvider(Model):
    """Who signs tokens, and with which keys."""

    name: Annotated[str, Field(min_length=1, max_length=253, pattern=LABEL)]
    issuer: str | None = None
    audiences: Annotated[tuple[str, ...], Field(max_length=8)] = ()
    remote_jwks: Annotated[RemoteJwks | None, Field(alias="remoteJWKS")] = None
    local_jwks: Annotated[LocalJwks | None, Field(alias="localJWKS")] = None


class JwtSpec(Model):
    """The user is a claim of a verified token; ``claim`` may be a path with dots."""

    provider: JwtProvider | None = None
    claim: Annotated[str, Field(min_length=1, max_length=256)] | None = None


class SecretRef(Model):
    """A Secret in the route's namespace: client name -> API key."""

    name: Name
    kind: Literal["Secret"] | None = None
    group: Literal[""] | None = None


class ExtractFrom(Model):
    """Where a request has its API key: the first that is there counts."""

    headers: tuple[str, ...] = ()
    params: tuple[str, ...] = ()
    cookies: tuple[str, ...] = ()


class ApiKeySpec(Model):
    """The user is the client whose API key the request has."""

    credential_refs: Annotated[tuple[SecretRef, ...], Field(min_length=1)]
    extract_from: tuple[ExtractFrom, ...] | None = None


class IdentitySpec(Model):
    """Who asks, and what happens to requests that do not say."""

    header: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    on_missing: Literal["Anonymous", "Reject"] | None = None
    jwt: JwtSpec | None = None
    api_key: ApiKeySpec | None = None
