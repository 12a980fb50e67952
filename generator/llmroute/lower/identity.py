"""Who asks: the header, and the token or key that it is set from."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import Final

from llmroute import names
from llmroute.api.v1alpha1.identity import ApiKeySpec, IdentitySpec, JwtSpec
from llmroute.lower.addresses import DEFAULT_NAMESPACE, Addresses, inside
from llmroute.plan import ApiKey, Identity, Jwt
from llmroute.source import Document

_DEFAULT_CLAIM: Final = "sub"
_DEFAULT_KEY_HEADER: Final = "x-api-key"


def identity_of(spec: IdentitySpec | None, document: Document, addresses: Addresses) -> Identity:
    """The identity with its defaults. With API keys nobody is anonymous: the proxies' filter lets nobody through."""
    spec = spec or IdentitySpec()
    return Identity(
        header=(spec.header or names.USER_HEADER).lower(),
        reject=(spec.on_missing or ("Reject" if spec.api_key else "Anonymous")) == "Reject",
        jwt=_jwt(spec.jwt) if spec.jwt else None,
        api_key=_api_key(spec.api_key, document, addresses) if spec.api_key else None,
        origin=document.origin(("spec", "identity")),
    )


def _jwt(spec: JwtSpec) -> Jwt:
    provider = spec.provider
    return Jwt(
        name=provider.name if provider else "",
        issuer=provider.issuer if provider else None,
        audiences=provider.audiences if provider else (),
        uri=provider.remote_jwks.uri if provider and provider.remote_jwks else None,
        inline=provider.local_jwks.inline if provider and provider.local_jwks else None,
        claim=tuple((spec.claim or _DEFAULT_CLAIM).split(".")),
    )


def _api_key(spec: ApiKeySpec, document: Document, addresses: Addresses) -> ApiKey:
    places = spec.extract_from or ()
    headers = tuple(h.lower() for p in places for h in p.headers)
    params, cookies = tuple(x for p in places for x in p.params), tuple(x for p in places for x in p.cookies)
    secrets = tuple(ref.name for ref in spec.credential_refs)
    namespace = document.name[0] or DEFAULT_NAMESPACE
    found = [addresses.get(("Secret", namespace, name)) for name in secrets]
    return ApiKey(
        secrets=secrets,
        clients=tuple(client for secret in found if secret for client in _clients(secret)),
        headers=headers or (() if params or cookies else (_DEFAULT_KEY_HEADER,)),
        params=params,
        cookies=cookies,
    )


def _clients(secret: Document) -> Iterator[tuple[str, str]]:
    """Name and key of each client that the Secret has, as text or in base64."""
    data, text = inside(secret.value, "data"), inside(secret.value, "stringData")
    text = text if isinstance(text, dict) else {}
    for name, value in (data if isinstance(data, dict) else {}).items():
        if name in text:
            continue  # of a name that stands twice the text counts, as the API server has it
        try:
            yield str(name), base64.b64decode(str(value), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            continue  # the API server refuses such a Secret, and says so
    for name, value in text.items():
        yield str(name), str(value)
