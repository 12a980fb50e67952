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
    namespace: Namespace | None = None


class TargetRef(Model):
    """A Gateway in the route's namespace."""

    name: Name
    kind: Literal["Gateway"] | None = None
    group: Literal["gateway.networking.k8s.io"] | None = None


class BackendRef(Model):
    """A Backend or Service in the route's namespace. A Service needs its port."""

    name: Name
    kind: Literal["Backend", "Service"] | None = None
    group: Literal["gateway.envoyproxy.io", ""] | None = None
    port: Port | None = None


class HeaderMatch(Model):
    """One condition; which types take a value is checked on the plan."""

    name: Annotated[str, Field(min_length=1, max_length=256)]
    type: Literal["Exact", "RegularExpression", "Distinct"]
    value: Annotated[str, Field(max_length=1024)] | None = None


class MetadataPath(Model):
    """A step into the metadata."""

    key: Annotated[str, Field(min_length=1, max_length=256)]


class MetadataMatch(Model):
    """One condition on dynamic metadata of a filter, such as a JWT claim; without ``value`` each counts apart."""

    type: Literal["Dynamic"]
    name: Annotated[str, Field(min_length=1, max_length=256)]
    paths: Annotated[tuple[MetadataPath, ...], Field(min_length=1, max_length=16)]
    value: Annotated[str, Field(max_length=1024)] | None = None
    default_value: Annotated[str, Field(min_length=1, max_length=1024)] | None = None


Weight = Annotated[float, Field(ge=0, le=MAX_WEIGHT, allow_inf_nan=False)]


class WeightsSpec(Model):
    """What a token of each kind costs."""

    prompt: Weight | None = None
    cached_prompt: Weight | None = None
    cache_write: Weight | None = None
    completion: Weight | None = None
    reasoning: Weight | None = None


class LimitSpec(Model):
    """A quantity per window."""

    type: Literal["Request", "Token"] | None = None
    quantity: Annotated[int, Field(ge=0, le=MAX_QUANTITY)]
    unit: Literal["Second", "Minute", "Hour", "Day", "Week", "Month", "Year"] | None = None
    token: Literal["Total", "Prompt", "Completion"] | None = None
    weights: WeightsSpec | None = None
    shadow: bool | None = None


class Rule(Model):
    """Limits for the requests that all ``headers`` and ``metadata`` match; without any, for every request."""

    headers: tuple[HeaderMatch, ...] = ()
    metadata: tuple[MetadataMatch, ...] = ()
    limits: Annotated[tuple[LimitSpec, ...], Field(min_length=1)]


class RateLimit(Model):
    """The rules of one backend."""

    rules: tuple[Rule, ...] = ()


class TrafficPolicy(Model):
    """What holds for one backend's traffic."""

    rate_limit: RateLimit | None = None


class BackendSpec(Model):
    """A backend and its policy."""

    backend_ref: BackendRef
    models: Annotated[tuple[Annotated[str, Field(min_length=1, max_length=256)], ...], Field(min_length=1)] | None = (
        None
    )
    traffic_policy: TrafficPolicy | None = None


class UsageSpec(Model):
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


class AdmissionSpec(Model):
    """How a request is admitted and booked, and what it may ask for."""

    mode: Literal["PostPaid", "PrepaidPrompt", "Reserve"] | None = None
    settle: Literal["Async", "Sync"] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=names.MAX_CHARGE)] | None = None
    max_in_flight: Annotated[int, Field(ge=1, le=MAX_QUANTITY)] | None = None


class LLMRouteSpec(Model):
    """Gateways, backends, and what holds for all of their traffic."""

    target_refs: Annotated[tuple[TargetRef, ...], Field(min_length=1, max_length=16)]
    backends: Annotated[tuple[BackendSpec, ...], Field(min_length=1, max_length=32)]
    traffic_policy: TrafficPolicy | None = None
    identity: IdentitySpec | None = None
    usage: UsageSpec | None = None
    admission: AdmissionSpec | None = None


class LLMRoute(Model):
    """The whole object. ``status`` is the cluster's and is not read."""

    api_version: Literal["aigateway.envoyproxy.io/v1alpha1"]
    kind: Literal["LLMRoute"]
    metadata: ObjectMeta
    spec: LLMRouteSpec
    status: Any = None
