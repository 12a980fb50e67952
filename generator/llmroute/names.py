"""Every name that more than one part must agree on, in one place.

Header names are lower case, as HTTP/2 and Envoy have them. The Lua filter reads the
names that vary by route from its filter context and carries the constant ones itself;
``tests/filters`` checks that both sides say the same.
"""

from __future__ import annotations

from typing import Final

GROUP: Final = "aigateway.envoyproxy.io"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
KIND: Final = "LLMRoute"

GATEWAY_API: Final = "gateway.networking.k8s.io"
"""API group of the Gateway API."""
ENVOY_GATEWAY_API: Final = "gateway.envoyproxy.io"
"""API group of Envoy Gateway's own kinds."""

MODEL_HEADER: Final = "x-ai-gateway-llm-model-name"
"""The model of a request; the filter sets it from the body and overwrites what a client sent."""
BACKEND_HEADER: Final = "x-ai-gateway-llm-backend"
"""The backend that a client names."""
METADATA_HEADER_PREFIX: Final = "x-ai-gateway-llm-metadata-"
"""Of headers that the filter sets from dynamic metadata, so that limits can select on it."""
PREPAID_HEADER: Final = "x-ai-gateway-llm-prepaid"
"""Of a request that the filter has admitted itself: no rule matches it. The route takes it off before the upstream."""
PREPAID: Final = "yes"
"""The value of that header."""
USER_HEADER: Final = "x-user-id"
"""Who asks, until ``spec.identity`` says otherwise."""

ANONYMOUS: Final = "anonymous"
"""The user of a request whose user header is missing or blank."""
REST: Final = "*"
"""Among the models of a backend: those that no other backend serves."""
UNKNOWN: Final = "unknown"
"""The model that cannot be read, and the value of any other selected header that is missing or blank."""

METADATA_NAMESPACE: Final = "llmroute"
"""Namespace of the dynamic metadata that the filter writes (DESIGN 5)."""
TOTAL_TOKENS: Final = "total_tokens"
PROMPT_TOKENS: Final = "prompt_tokens"
COMPLETION_TOKENS: Final = "completion_tokens"
CACHED_TOKENS: Final = "cached_tokens"
CACHE_WRITE_TOKENS: Final = "cache_write_tokens"
REASONING_TOKENS: Final = "reasoning_tokens"
COST_PREFIX: Final = "cost_"
"""Of the metadata key of a weighted cost; its number follows, from 1."""
DUE_PREFIX: Final = "due_"
"""Of the metadata key that says what the proxy has still to charge, where the filter charges; a number follows."""
PAID_PREFIX: Final = "paid_"
"""Of the metadata key that says what a limit was charged on admission; a number follows."""
REFUND_PREFIX: Final = "refund_"
"""Of the metadata key that says what of that the answer has not used; a number follows."""
MODEL: Final = "model"
USAGE_SOURCE: Final = "usage_source"
FILTER_ERROR: Final = "filter_error"
"""How many faults the filter had with a request; absent when none."""
NO_COST: Final = "no_cost"
"""A metadata key that is always 0: the check's cost where a literal number cannot be written (PLATFORM 6.7)."""

NEVER: Final = "never"
"""A metadata key that the filter never sets: a rate limit that takes its cost from there is passed over."""

MAX_MODEL_BYTES: Final = 256
"""A longer name is no model's: the filter calls it ``UNKNOWN``."""
MAX_CHARGE: Final = 1_000_000_000
"""Tokens; Envoy drops a ``hits_addend`` above it, so the filter clamps to it."""

COUNTERS_PATH: Final = "/counters"
"""Where ``llmroute run --status`` shows the embedded service's counters."""

MANAGED_BY_LABEL: Final = "app.kubernetes.io/managed-by"
MANAGED_BY: Final = "llmroute"
HASH_ANNOTATION: Final = f"{GROUP}/llmroute-hash"
"""First 16 hex digits of the SHA-256 of the LLMRoute's content, on everything emitted for it."""

HOLD_KEY: Final = "llmroute_hold"
"""Descriptor key by which the embedded service knows a hold: all holds of a request are counted, or nothing is."""
HELD_AT: Final = "llmroute_held_at"
"""When the embedded service counted a request's holds (Unix seconds): a key of what its answer adds to the
request's metadata, and of the descriptors by which the holds are given back."""

LIMIT_KEY: Final = "limit"
"""Descriptor key of the first entry of every limit on the ``envoy`` target; its value is the limit's id."""
