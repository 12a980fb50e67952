"""Signed tokens for tests: keys of a provider of ours, and what it, or an impostor, signs."""

from __future__ import annotations

import functools
import json
import time
from typing import Any, Final

from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

ISSUER: Final = "https://issuer.example.com"
AUDIENCE: Final = "llm"
PROVIDER: Final = "corp"
_ALGORITHM: Final = "ES256"
_SECONDS: Final = 3600


@functools.cache
def key(kid: str) -> ECKey:
    """The key of this name."""
    return ECKey.generate_key("P-256", {"kid": kid, "alg": _ALGORITHM, "use": "sig"})


@functools.cache
def key_set() -> str:
    """The public keys of the provider, as JSON: one."""
    return json.dumps(KeySet([key("ours")]).as_dict(private=False))


def token(*, signed_by: str = "ours", called: str = "ours", expires_in: int = _SECONDS, **claims: Any) -> str:
    """A token with these claims, good for an hour unless it says otherwise. A claim that is None is left out."""
    everything = {"iss": ISSUER, "aud": AUDIENCE, "exp": int(time.time()) + expires_in} | claims
    said = {name: value for name, value in everything.items() if value is not None}
    return jwt.encode({"alg": _ALGORITHM, "kid": called}, said, key(signed_by))


def provider(**keys: Any) -> dict[str, Any]:
    """The provider as a policy has it, with its keys in the policy unless they are said to be elsewhere."""
    return {"name": PROVIDER, "issuer": ISSUER, "audiences": [AUDIENCE]} | (
        keys or {"localJWKS": {"inline": key_set()}}
    )
