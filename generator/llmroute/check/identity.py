"""Identity: a user can be told from what the policy says, and only so."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Final

from llmroute import codes, names
from llmroute.check.headers import legal
from llmroute.check.places import Places
from llmroute.diagnostic import Code, Diagnostic, FieldPath
from llmroute.lower import DEFAULT_NAMESPACE
from llmroute.plan import ApiKey, Identity, Jwt, Plan, Route
from llmroute.source import Document
from llmroute.targets import Capabilities

_FRAMING: Final = frozenset(
    {
        "host",
        "connection",
        "content-length",
        "content-type",
        "expect",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers without which, or with a user in them, a request is another one or none."""
_LEGAL: Final = "letters, digits and '-'"

_Finding = tuple[Code, FieldPath, str, str]
"""Code, field below ``spec.identity``, message and hint."""


def check(plan: Plan, target: Capabilities, documents: Sequence[Document], places: Places) -> Iterator[Diagnostic]:
    """Of each route: one source of the user, with keys, and a header that can hold the user."""
    for route in plan.routes:
        known = route.identity.origin
        for code, field, message, hint in _findings(route, target, documents):
            yield Diagnostic(code, places.beside(known, (*known.path, *field)), message, hint)


def _findings(route: Route, target: Capabilities, documents: Sequence[Document]) -> Iterator[_Finding]:
    identity = route.identity
    yield from _header(identity)
    if identity.jwt and identity.api_key:
        hint = "remove one; two LLMRoutes of two gateways can have one each"
        yield codes.TWO_IDENTITIES, ("apiKey",), "identity has both jwt and apiKey", hint
    if identity.jwt:
        yield from _jwt(identity.jwt)
    if identity.api_key:
        yield from _api_key(identity, identity.api_key)
        if target.needs_addresses:
            yield from _secrets(route, identity.api_key, target, documents)


def _header(identity: Identity) -> Iterator[_Finding]:
    header = identity.header
    own = header in {names.MODEL_HEADER, names.BACKEND_HEADER} or header.startswith(names.METADATA_HEADER_PREFIX)
    hint = f"use {names.USER_HEADER}, or leave header out"
    if not legal(header):
        message, hint = f"{header!r} is no header that Envoy can set", _LEGAL
    elif own or header in _FRAMING:
        message = f"{header} is needed for something else"
    elif identity.api_key and header in identity.api_key.headers:
        message = f"{header} has the API key already: the user would take its place"
    else:
        return
    yield codes.BAD_IDENTITY_HEADER, ("header",), message, hint


def _jwt(jwt: Jwt) -> Iterator[_Finding]:
    if not jwt.name:
        hint = "add provider with a name, and its keys in remoteJWKS or localJWKS"
        yield codes.NO_PROVIDER, ("jwt",), "jwt has no provider: nobody's tokens can be verified", hint
    elif (jwt.uri is None) == (jwt.inline is None):
        count = "no keys" if jwt.uri is None else "keys in two places"
        hint = "give either remoteJWKS: {uri: …} or localJWKS: {inline: …}"
        yield codes.PROVIDER_KEYS, ("jwt", "provider"), f"the provider {jwt.name} has {count}", hint
    elif jwt.inline is not None and _unusable(jwt.inline):
        message = f"localJWKS of the provider {jwt.name} is no set of keys: {_unusable(jwt.inline)}"
        hint = 'it begins with {"keys": [{"kty": …'
        yield codes.BAD_KEYS, ("jwt", "provider", "localJWKS", "inline"), message, hint


def _unusable(jwks: str) -> str:
    """What is wrong with ``jwks``; an empty string if nothing is."""
    try:
        value = json.loads(jwks)
    except ValueError as error:
        return f"it is not JSON ({error})"
    keys = value.get("keys") if isinstance(value, dict) else None
    if not isinstance(keys, list) or not keys:
        return "it has no list of keys"
    return "" if all(isinstance(key, dict) and "kty" in key for key in keys) else "a key has no kty"


def _api_key(identity: Identity, api_key: ApiKey) -> Iterator[_Finding]:
    if not identity.reject:
        message = "a request without an API key is refused, so onMissing: Anonymous cannot hold"
        yield codes.ANONYMOUS_KEY, ("onMissing",), message, "say onMissing: Reject, or remove it"
    for header in api_key.headers:
        if not legal(header):
            message = f"{header!r} is no header that a request can have its API key in"
            yield codes.BAD_IDENTITY_HEADER, ("apiKey", "extractFrom"), message, _LEGAL
    first: dict[str, str] = {}
    for client, key in api_key.clients:
        other = first.setdefault(key, client)
        if other != client:
            message = f"the clients {other} and {client} have one API key: nobody knows who sends it"
            yield codes.SHARED_KEY, ("apiKey", "credentialRefs"), message, "give each client a key of its own"


def _secrets(route: Route, api_key: ApiKey, target: Capabilities, documents: Sequence[Document]) -> Iterator[_Finding]:
    namespace = route.namespace or DEFAULT_NAMESPACE
    secrets = (d for d in documents if d.kind == ("v1", "Secret") and (d.name[0] or DEFAULT_NAMESPACE) == namespace)
    known = {d.name[1]: d for d in secrets}
    for i, name in enumerate(api_key.secrets):
        secret = known.get(name)
        if secret and any(secret.value.get(part) for part in ("data", "stringData")):
            continue
        what = "has no client in it" if secret else "is not in the input"
        message = f"the Secret {namespace}/{name} {what}, and {target.target} cannot fetch it"
        hint = "add it to the input, with a key for each client: stringData: {alice: …}"
        yield codes.NO_SECRET, ("apiKey", "credentialRefs", i, "name"), message, hint
