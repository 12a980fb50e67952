"""The LLMRoute as typed, frozen values. Unknown fields are refused, nothing is coerced.

Field names are the API's in snake case; the YAML has them in camel case. A None means that the
policy leaves the field out: what then holds is ``lower``'s to say, not this module's.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, ValidationInfo, field_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from llmroute import names
from llmroute.api.v1alpha1.base import Model, Name, Namespace, Port
from llmroute.api.v1alpha1.identity import IdentitySpec

MAX_QUANTITY = 2**32 - 1
"""The proxies' service counts in 32 bits."""
MAX_WEIGHT = 1000
"""A thousand tokens for one: more is a wrong unit."""

NO_FIXED_TOKENS = "no_fixed_tokens"
"""Type of the error of ``onMissing: Fixed`` without ``fixedTokens``."""
IDLE_FIXED_TOKENS = "idle_fixed_tokens"
"""Type of the error of ``fixedTokens`` without ``onMissing: Fixed``."""


class ObjectMeta(Model):
    """Kubernetes' own; only the two names mean anything here."""

    model_config = ConfigDict(alias_generator=to_camel, extra="allow", frozen=True, strict=True)

    name: Name
    """Also the name of everything that is made of the LLMRoute."""
    namespace: Namespace | None = None
    """Of the route, its Gateways and its backends. Default: the one that `kubectl apply` is told."""


class TargetRef(Model):
    """A Gateway in the route's namespace."""

    name: Name
    """Of the Gateway."""
    kind: Literal["Gateway"] | None = None
    """The only kind. Default: `Gateway`."""
    group: Literal["gateway.networking.k8s.io"] | None = None
    """Its API. Default: `gateway.networking.k8s.io`."""


class BackendRef(Model):
    """A Backend or Service in the route's namespace. A Service needs its port."""

    name: Name
    """Of the Backend or Service, and what clients call it."""
    kind: Literal["Backend", "Service"] | None = None
    """What it is. Default: `Service`, or `Backend` where the group is Envoy Gateway's."""
    group: Literal["gateway.envoyproxy.io", ""] | None = None
    """Its API. Default: `gateway.envoyproxy.io` of a Backend, empty of a Service."""
    port: Port | None = None
    """Of a Service, which needs it."""


class HeaderMatch(Model):
    """One condition on a header. Which types take a value, ``check`` says."""

    name: Annotated[str, Field(min_length=1, max_length=256)]
    """In any case, without an underscore."""
    type: Literal["Exact", "RegularExpression", "Distinct"]
    """`Distinct`: every value, each counted apart."""
    value: Annotated[str, Field(max_length=1024)] | None = None
    """The whole value, or an RE2 expression for it; none with `Distinct`."""


class MetadataPath(Model):
    """A step into the metadata."""

    key: Annotated[str, Field(min_length=1, max_length=256)]
    """A field's name."""


class MetadataMatch(Model):
    """One condition on dynamic metadata of a filter, such as a JWT claim; without ``value`` each counts apart."""

    type: Literal["Dynamic"]
    """The only type."""
    name: Annotated[str, Field(min_length=1, max_length=256)]
    """The namespace of the filter: `envoy.filters.http.jwt_authn` has claims."""
    paths: Annotated[tuple[MetadataPath, ...], Field(min_length=1, max_length=16)]
    """The way to the value, key by key; for a claim first the provider's name."""
    value: Annotated[str, Field(max_length=1024)] | None = None
    """What it must be. Default: any, and every value counts apart."""
    default_value: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    """Of a request that has none. Default: `unknown`."""


Weight = Annotated[float, Field(ge=0, le=MAX_WEIGHT, allow_inf_nan=False)]


class WeightsSpec(Model):
    """What a token of each kind costs."""

    prompt: Weight | None = None
    """Of a prompt token that neither came from a cache nor went into one. Default: `1`."""
    cached_prompt: Weight | None = None
    """Of a prompt token that came from a cache. Default: that of `prompt`."""
    cache_write: Weight | None = None
    """Of a prompt token that went into a cache. Default: that of `prompt`."""
    completion: Weight | None = None
    """Of a completion token that is no reasoning. Default: `1`."""
    reasoning: Weight | None = None
    """Of a reasoning token. Default: that of `completion`."""


class LimitSpec(Model):
    """A quantity per window."""

    type: Literal["Request", "Token"] | None = None
    """What it counts. Default: `Request`."""
    quantity: Annotated[int, Field(ge=0, le=MAX_QUANTITY)]
    """Per window; 0 never admits."""
    unit: Literal["Second", "Minute", "Hour", "Day", "Week", "Month", "Year"] | None = None
    """The window, fixed and aligned to the epoch. Default: `Minute`."""
    token: Literal["Total", "Prompt", "Completion"] | None = None
    """Which tokens count. Default: `Total`."""
    weights: WeightsSpec | None = None
    """What a token of each kind costs, in place of `token`."""
    shadow: bool | None = None
    """Count, and never refuse. Default: `false`."""


class Rule(Model):
    """Limits for the requests that all ``headers`` and ``metadata`` match; without any, for every request."""

    headers: tuple[HeaderMatch, ...] = ()
    """All of them must match."""
    metadata: tuple[MetadataMatch, ...] = ()
    """All of them must match."""
    limits: Annotated[tuple[LimitSpec, ...], Field(min_length=1)]
    """All of them hold."""


class RateLimit(Model):
    """The rules of one backend."""

    rules: tuple[Rule, ...] = ()
    """Each counts on its own; the tightest limit answers."""


class TrafficPolicy(Model):
    """What holds for one backend's traffic."""

    rate_limit: RateLimit | None = None
    """Limits of requests and tokens."""


class BackendSpec(Model):
    """A backend and its policy."""

    backend_ref: BackendRef
    """Where its requests go."""
    models: Annotated[tuple[Annotated[str, Field(min_length=1, max_length=256)], ...], Field(min_length=1)] | None = (
        None
    )
    """Of requests that name no backend; `*` takes those that nobody has. Default: clients name the backend."""
    traffic_policy: TrafficPolicy | None = None
    """For requests to this backend. Default: no limit."""


class UsageSpec(Model):
    """How answers are metered that do not report what they cost."""

    on_missing: Literal["Estimate", "Free", "Fixed"] | None = None
    """Of an answer without usage. Default: `Estimate`."""
    # After on_missing: the check below looks back at it.
    fixed_tokens: Annotated[int, Field(ge=0, le=names.MAX_CHARGE)] | None = Field(default=None, validate_default=True)
    """What `onMissing: Fixed` charges."""
    on_disconnect: Literal["Charge", "Free"] | None = None
    """Of a client that leaves. Default: `Charge`, for what it saw."""
    include_usage: Literal["Force", "Keep"] | None = None
    """Whether streams are made to report their usage. Default: `Force`."""

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


class AdmissionSpec(Model):
    """How a request is admitted and booked, and what it may ask for."""

    mode: Literal["PostPaid", "PrepaidPrompt", "Reserve"] | None = None
    """When a request is booked. Default: `PostPaid`, once its answer is known."""
    settle: Literal["Async", "Sync"] | None = None
    """`Sync` charges an answer before it ends. Default: `Async`, right after."""
    max_tokens: Annotated[int, Field(ge=1, le=names.MAX_CHARGE)] | None = None
    """The longest answer that a request may ask for, in tokens. Default: no bound."""
    max_in_flight: Annotated[int, Field(ge=1, le=MAX_QUANTITY)] | None = None
    """Requests at once, for each Envoy and each backend; those beyond are a 503. Default: no bound."""


class LLMRouteSpec(Model):
    """Gateways, backends, and what holds for all of their traffic."""

    target_refs: Annotated[tuple[TargetRef, ...], Field(min_length=1, max_length=16)]
    """Gateways that the route attaches to."""
    backends: Annotated[tuple[BackendSpec, ...], Field(min_length=1, max_length=32)]
    """Where requests go, and what limits hold there."""
    traffic_policy: TrafficPolicy | None = None
    """For all requests of the route, whichever backend they go to. Default: no limit."""
    identity: IdentitySpec | None = None
    """Who asks. Default: the header `x-user-id`, as it comes."""
    usage: UsageSpec | None = None
    """How answers are metered that do not report what they cost."""
    admission: AdmissionSpec | None = None
    """How requests are admitted and booked."""


class LLMRoute(Model):
    """Limits for LLM traffic by tokens, and where requests go."""

    api_version: Literal["aigateway.envoyproxy.io/v1alpha1"]
    """The only version."""
    kind: Literal["LLMRoute"]
    """The only kind."""
    metadata: ObjectMeta
    """Name and namespace."""
    spec: LLMRouteSpec
    """The policy."""
    status: Any = None
    """The cluster's; not read."""
