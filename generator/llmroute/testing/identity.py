"""How a request says who asks, whatever a policy reads that from: a header, a client's API key, a signed token.

Nobody has the private keys of a policy's provider of tokens at hand, so tests have their own in their place; all else
that the policy asks of a token (issuer, audiences, the claim) is as it stands.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from typing import Any, Final

from llmroute.plan import ApiKey, Jwt, Plan, Route
from llmroute.testing.errors import UnknownUser

_SECRET: Final = b"llmroute.testing: known to everybody"
_HEADER: Final = {"alg": "HS256", "typ": "JWT", "kid": "llmroute"}
_GOOD_FOR: Final = 3600
"""Seconds after which a token expires, by the machine's clock, which Envoy goes by."""


@dataclasses.dataclass(frozen=True, slots=True)
class Said:
    """What a request carries: headers, and a query for its path, empty or with its question mark."""

    headers: tuple[tuple[str, str], ...] = ()
    query: str = ""


def with_our_keys(plan: Plan) -> Plan:
    """The plan, with our key in place of those of its providers of tokens."""
    return Plan(tuple(_with_our_key(route) for route in plan.routes))


def _with_our_key(route: Route) -> Route:
    jwt = route.identity.jwt
    if jwt is None:
        return route
    key = {"kty": "oct", "alg": _HEADER["alg"], "kid": _HEADER["kid"], "k": _encoded(_SECRET)}
    ours = dataclasses.replace(jwt, uri=None, inline=json.dumps({"keys": [key]}))
    return dataclasses.replace(route, identity=dataclasses.replace(route.identity, jwt=ours))


def said_by(route: Route, user: str | None, claims: Mapping[str, Any]) -> Said:
    """What a request of ``user`` carries, None for one that does not say. ``claims`` are more of a token's.

    Raises:
        UnknownUser: there is no API key for the user; or claims where nobody reads a token.
    """
    __tracebackhide__ = True
    identity = route.identity
    if claims and identity.jwt is None:
        raise UnknownUser(
            f"claims are of a token, and the LLMRoute {route.name} reads none: spec.identity.jwt does that"
        )
    if identity.jwt:
        return _token(identity.jwt, user, claims) if claims or user is not None else Said()
    if user is None:
        return Said()
    return _key(route, identity.api_key, user) if identity.api_key else Said(((identity.header, user),))


def _key(route: Route, api_key: ApiKey, user: str) -> Said:
    __tracebackhide__ = True
    keys = dict(api_key.clients)
    if user not in keys:
        known = ", ".join(keys) or "none, as the files have none of the Secrets " + ", ".join(api_key.secrets)
        raise UnknownUser(
            f"the LLMRoute {route.name} knows users by their API keys, and {user!r} has none; there are: {known}"
        )
    if api_key.headers:
        bearer = "Bearer " if api_key.headers[0] == "authorization" else ""
        return Said(((api_key.headers[0], f"{bearer}{keys[user]}"),))
    if api_key.cookies:
        return Said((("cookie", f"{api_key.cookies[0]}={keys[user]}"),))
    return Said(query=f"?{api_key.params[0]}={keys[user]}")


def _token(jwt: Jwt, user: str | None, claims: Mapping[str, Any]) -> Said:
    payload: dict[str, Any] = {"exp": int(time.time()) + _GOOD_FOR}
    payload |= {"iss": jwt.issuer} if jwt.issuer else {}
    payload |= {"aud": jwt.audiences[0]} if jwt.audiences else {}
    payload |= claims
    if user is not None:
        *above, last = jwt.claim
        inside = payload
        for name in above:
            inside[name] = dict(inside.get(name, {}))
            inside = inside[name]
        inside[last] = user
    signed = f"{_encoded(json.dumps(_HEADER).encode())}.{_encoded(json.dumps(payload).encode())}"
    signature = hmac.new(_SECRET, signed.encode(), hashlib.sha256).digest()
    return Said((("authorization", f"Bearer {signed}.{_encoded(signature)}"),))


def _encoded(data: bytes) -> str:
    """As JOSE writes bytes."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
