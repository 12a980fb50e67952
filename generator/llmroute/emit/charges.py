"""Which metadata of the filter holds what a limit charges, and how the filter is told of weights and holds."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from llmroute import names
from llmroute.plan import Limit, Route, Token, Weights
from llmroute.settlement import due_key, holds, owes, paid_key, refund_key

BEHIND_THE_CHECK: Final = "Behind the check: what is left to pay is charged in the end."
"""Beside what takes the header of an admitted request off."""
_KEYS: Final = {
    Token.TOTAL: names.TOTAL_TOKENS,
    Token.PROMPT: names.PROMPT_TOKENS,
    Token.COMPLETION: names.COMPLETION_TOKENS,
}


def charge_key(route: Route, limit: Limit) -> str:
    """The key of the filter's metadata that says what the proxy is to charge to a token limit of ``route``."""
    return due_key(route, limit) if owes(route, limit) else metadata_key(route, limit)


def metadata_key(route: Route, limit: Limit) -> str:
    """The key of the filter's metadata that says what an answer costs by a token limit of ``route``."""
    if isinstance(limit.counts, Weights):
        return cost_key(route.weighted.index(limit.counts))
    return _KEYS[limit.counts]


def cost_key(index: int) -> str:
    """The key of the ``index``-th weighted cost of a route, from 0."""
    return f"{names.COST_PREFIX}{index + 1}"


def costs(route: Route) -> list[dict[str, Any]]:
    """For the filter: each set of weights as whole numbers of 1/``scale``, so that sums are exact."""
    return [_cost(index, weights) for index, weights in enumerate(route.weighted)]


def _cost(index: int, weights: Weights) -> dict[str, Any]:
    values = {
        "prompt": weights.prompt,
        "cachedPrompt": weights.cached_prompt,
        "cacheWrite": weights.cache_write,
        "completion": weights.completion,
        "reasoning": weights.reasoning,
    }
    return {"key": cost_key(index), **_whole(values)}


def holds_of(route: Route) -> list[dict[str, Any]]:
    """For the filter: the limits that hold, and what a token of the prompt and one of the answer hold of each."""
    return [_hold(route, limit) for _, limit in route.limits() if holds(route, limit)]


def _hold(route: Route, limit: Limit) -> dict[str, Any]:
    prompt, completion = limit.dearest
    return {
        "paid": paid_key(route, limit),
        "due": due_key(route, limit),
        "refund": refund_key(route, limit),
        "key": metadata_key(route, limit),
        **_whole({"prompt": prompt, "completion": completion}),
    }


def _whole(weights: dict[str, Decimal]) -> dict[str, int]:
    """Whole numbers of 1/``scale``, so that sums are exact."""
    decimals = max(0, *(-int(value.as_tuple().exponent) for value in weights.values()))
    scale = 10**decimals
    return {"scale": scale, **{name: int(value * scale) for name, value in weights.items()}}
