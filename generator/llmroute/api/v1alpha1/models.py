"""The LLMRoute as typed, frozen values. Unknown fields are refused, nothing is coerced.

Field names are the API's in snake case; the YAML has them in camel case. A None means that the
policy leaves the field out: what then holds is ``lower``'s to say, not this module's.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from llmroute import names

MAX_QUANTITY = 2**32 - 1
"""The proxies' service counts in 32 bits."""
MAX_WEIGHT = 1000
"""A thousand tokens for one: more is a wrong unit."""

NO_FIXED_TOKENS = "no_fixed_tokens"
"""Type of the error of ``onMissing: Fixed`` without ``fixedTokens``."""
IDLE_FIXED_TOKENS = "idle_fixed_tokens"
"""Type of the error of ``fixedTokens`` without ``onMissing: Fixed``."""

_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
_SUBDOMAIN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"

Name = Annotated[str, Field(min_length=1, max_length=253, pattern=_SUBDOMAIN)]
Namespace = Annotated[str, Field(min_length=1, max_length=63, pattern=_LABEL)]
Port = Annotated[int, Field(ge=1, le=65535)]


class _Model(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel, extra="forbid", frozen=True, strict=True, validate_by_alias=True
    )


class ObjectMeta(_Model):
    """Kubernetes' own; only the two names mean anything here."""

    model_config = ConfigDict(alias_generator=to_camel, extra="allow", frozen=True, strict=True)

    name: Name
    namespace: Namespace | None = None


class TargetRef(_Model):
    """A Gateway in the route's namespace."""

    name: Name
    kind: Literal["Gateway"] | None = None
    group: Literal["gateway.networking.k8s.io"] | None = None


class BackendRef(_Model):
    """A Backend or Service in the route's namespace. A Service needs its port."""

    name: Name
    kind: Literal["Backend", "Service"] | None = None
    group: Literal["gateway.envoyproxy.io", ""] | None = None
    port: Port | None = None


class HeaderMatch(_Model):
    """One condition; which types take a value is checked on the plan."""

    name: Annotated[str, Field(min_length=1, max_length=256)]
    type: Literal["Exact", "RegularExpression", "Distinct"]
    value: Annotated[str, Field(max_length=1024)] | None = None


class MetadataPath(_Model):
    """A step into the metadata."""

    key: Annotated[str, Field(min_length=1, max_length=256)]


class MetadataMatch(_Model):
    """One condition on dynamic metadata of a filter, such as a JWT claim; without ``value`` each counts apart."""

    type: Literal["Dynamic"]
    name: Annotated[str, Field(min_length=1, max_length=256)]
    paths: Annotated[tuple[MetadataPath, ...], Field(min_length=1, max_length=16)]
    value: Annotated[str, Field(max_length=1024)] | None = None
    default_value: Annotated[str, Field(min_length=1, max_length=1024)] | None = None


Weight = Annotated[float, Field(ge=0, le=MAX_WEIGHT, allow_inf_nan=False)]


class WeightsSpec(_Model):
    """What a token of each kind costs."""

    prompt: Weight | None = None
    cached_prompt: Weight | None = None
    cache_write: Weight | None = None
    completion: Weight | None = None
    reasoning: Weight | None = None


class LimitSpec(_Model):
    """A quantity per window."""

    type: Literal["Request", "Token"] | None = None
    quantity: Annotated[int, Field(ge=0, le=MAX_QUANTITY)]
    unit: Literal["Second", "Minute", "Hour", "Day", "Week", "Month", "Year"] | None = None
    token: Literal["Total", "Prompt", "Completion"] | None = None
    weights: WeightsSpec | None = None
    shadow: bool | None = None


class Rule(_Model):
    """Limits for the requests that all ``headers`` and ``metadata`` match; without any, for every request."""

    headers: tuple[HeaderMatch, ...] = ()
    metadata: tuple[MetadataMatch, ...] = ()
    limits: Annotated[tuple[LimitSpec, ...], Field(min_length=1)]


class RateLimit(_Model):
    """The rules of one backend."""

    rules: tuple[Rule, ...] = ()


class TrafficPolicy(_Model):
    """What holds for one backend's traffic."""

    rate_limit: RateLimit | None = None


class BackendSpec(_Model):
    """A backend and its policy."""

    backend_ref: BackendRef
    models: Annotated[tuple[Annotated[str, Field(min_length=1, max_length=256)], ...], Field(min_length=1)] | None = (
        None
    )
    traffic_policy: TrafficPolicy | None = None


class UsageSpec(_Model):
    """How answers are metered that do not report what they cost."""

    on_missing: Literal["Estimate", "Free", "Fixed"] | None = None
    # After on_missing: the check below looks back at it.
    fixed_tokens: Annotated[int, Field(ge=0, le=names.MAX_CHARGE)] | None = Field(default=None, validate_default=True)
    on_disconnect: Literal["Charge", "Free"] | None = None
    include_usage: Literal["Force", "Keep"] | None = None

    @field_validator("fixed_tokens")
    @classmethod
    def _with_fixed_alone(cls, value: int | None, info: ValidationInfo) -> int | None:
        """Here, as the plan has the default and no longer tells whether the policy had a number."""
        if "on_missing" in info.data:  # it is not, where it has a mistake of its own
            if info.data["on_missing"] == "Fixed" and value is None:
                raise PydanticCustomError(NO_FIXED_TOKENS, "is missing")
            if info.data["on_missing"] != "Fixed" and value is not None:
                raise PydanticCustomError(IDLE_FIXED_TOKENS, "has no effect")
        return value


class AdmissionSpec(_Model):
    """How a request is admitted and booked, and what it may ask for."""

    mode: Literal["PostPaid", "PrepaidPrompt", "Reserve"] | None = None
    settle: Literal["Async", "Sync"] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=names.MAX_CHARGE)] | None = None
    max_in_flight: Annotated[int, Field(ge=1, le=MAX_QUANTITY)] | None = None


class LocalJwks(_Model):
    """A set of keys, as JSON."""

    inline: Annotated[str, Field(min_length=1)]


class RemoteJwks(_Model):
    """Where a set of keys is fetched."""

    uri: Annotated[str, Field(pattern=r"^https?://", max_length=253)]


class JwtProvider(_Model):
    """Who signs tokens, and with which keys."""

    name: Annotated[str, Field(min_length=1, max_length=253, pattern=_LABEL)]
    issuer: str | None = None
    audiences: Annotated[tuple[str, ...], Field(max_length=8)] = ()
    remote_jwks: Annotated[RemoteJwks | None, Field(alias="remoteJWKS")] = None
    local_jwks: Annotated[LocalJwks | None, Field(alias="localJWKS")] = None


class JwtSpec(_Model):
    """The user is a claim of a verified token; ``claim`` may be a path with dots."""

    provider: JwtProvider | None = None
    claim: Annotated[str, Field(min_length=1, max_length=256)] | None = None


class SecretRef(_Model):
    """A Secret in the route's namespace: client name -> API key."""

    name: Name
    kind: Literal["Secret"] | None = None
    group: Literal[""] | None = None


class ExtractFrom(_Model):
    """Where a request has its API key: the first that is there counts."""

    headers: tuple[str, ...] = ()
    params: tuple[str, ...] = ()
    cookies: tuple[str, ...] = ()


class ApiKeySpec(_Model):
    """The user is the client whose API key the request has."""

    credential_refs: Annotated[tuple[SecretRef, ...], Field(min_length=1)]
    extract_from: tuple[ExtractFrom, ...] | None = None


class IdentitySpec(_Model):
    """Who asks, and what happens to requests that do not say."""

    header: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    on_missing: Literal["Anonymous", "Reject"] | None = None
    jwt: JwtSpec | None = None
    api_key: ApiKeySpec | None = None


class LLMRouteSpec(_Model):
    """Gateways, backends, and what holds for all of their traffic."""

    target_refs: Annotated[tuple[TargetRef, ...], Field(min_length=1, max_length=16)]
    backends: Annotated[tuple[BackendSpec, ...], Field(min_length=1, max_length=32)]
    traffic_policy: TrafficPolicy | None = None
    identity: IdentitySpec | None = None
    usage: UsageSpec | None = None
    admission: AdmissionSpec | None = None


class LLMRoute(_Model):
    """The whole object. ``status`` is the cluster's and is not read."""

    api_version: Literal["aigateway.envoyproxy.io/v1alpha1"]
    kind: Literal["LLMRoute"]
    metadata: ObjectMeta
    spec: LLMRouteSpec
    status: Any = None
