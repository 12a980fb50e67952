"""What a limit says that no schema can refuse, and that the plan can no longer place or tell."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from llmroute import codes
from llmroute.api.v1alpha1.models import LimitSpec, LLMRoute, TrafficPolicy, WeightsSpec
from llmroute.diagnostic import Diagnostic, FieldPath
from llmroute.source import Document

MAX_DECIMALS: Final = 6
"""Of a weight: the filter adds in whole numbers, of 53 bits at most."""


def conflicts(route: LLMRoute, document: Document) -> Iterator[Diagnostic]:
    """Each at its field, in the order of the document's fields."""
    spec = route.spec
    for i, backend in enumerate(spec.backends):
        yield from _of_policy(backend.traffic_policy, ("spec", "backends", i), document)
    yield from _of_policy(spec.traffic_policy, ("spec",), document)


def _of_policy(policy: TrafficPolicy | None, path: FieldPath, document: Document) -> Iterator[Diagnostic]:
    rules = policy.rate_limit.rules if policy and policy.rate_limit else ()
    for r, rule in enumerate(rules):
        for i, limit in enumerate(rule.limits):
            inside = (*path, "trafficPolicy", "rateLimit", "rules", r, "limits", i)
            yield from _of_limit(limit, inside, document)


def _of_limit(limit: LimitSpec, path: FieldPath, document: Document) -> Iterator[Diagnostic]:
    yield from _exclusive(limit, path, document)
    for name, field in WeightsSpec.model_fields.items():
        value = getattr(limit.weights, name, None)
        decimals = 0 if value is None else -int(Decimal(repr(value)).normalize().as_tuple().exponent)
        if decimals > MAX_DECIMALS:
            message = (
                f"{field.alias} takes at most {MAX_DECIMALS} decimals, and {Decimal(repr(value)):f} has {decimals}"
            )
            hint = "round it, or multiply the quantity and all weights by the same number"
            origin = document.origin((*path, "weights", field.alias or name))
            yield Diagnostic(codes.TOO_PRECISE, origin, message, hint)


def _exclusive(limit: LimitSpec, path: FieldPath, document: Document) -> Iterator[Diagnostic]:
    given = [name for name in ("token", "weights") if getattr(limit, name) is not None]
    if not given:
        return
    origin = document.origin((*path, given[-1]), of_key=True)
    if limit.type != "Token":
        message = f"{given[-1]} has no meaning here: the limit counts requests"
        yield Diagnostic(codes.REQUESTS_HAVE_NO_TOKENS, origin, message, f"say type: Token, or remove {given[-1]}")
    elif len(given) > 1:
        message = f"weights say what each token costs, and token: {limit.token} says which ones count"
        hint = "remove token; a kind of token with the weight 0 does not count"
        yield Diagnostic(codes.TOKEN_AND_WEIGHTS, origin, message, hint)
