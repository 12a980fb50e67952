"""Rules to limits: what each counts, for whom, and a name that outlives edits elsewhere."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Final

from llmroute import names
from llmroute.api.v1alpha1.models import HeaderMatch, LimitSpec, MetadataMatch, Rule, TrafficPolicy, WeightsSpec
from llmroute.diagnostic import FieldPath
from llmroute.lower.digest import digest
from llmroute.plan import Kind, Limit, Match, MetadataHeader, Selector, Token, Unit, Weights
from llmroute.source import Document

OF_ALL: Final = "*"
"""In the place of a backend's name: across all of them. No backend can have it."""

_KINDS: Final = {"Token": Kind.TOKENS, "Request": Kind.REQUESTS}


def limits_of(policy: TrafficPolicy | None, owner: str, path: FieldPath, document: Document) -> Iterator[Limit]:
    """The limits of ``policy``, which stands at ``path`` and belongs to the backend ``owner``, or to ``OF_ALL``."""
    seen: dict[str, int] = {}
    for r, rule in enumerate(_rules(policy)):
        inside = (*path, "trafficPolicy", "rateLimit", "rules", r)
        selectors = tuple(_selectors(rule, inside, document))
        for i, spec in enumerate(rule.limits):
            limit = _limit(owner, spec, selectors, (*inside, "limits", i), document)
            seen[limit.id] = seen.get(limit.id, 0) + 1
            again = seen[limit.id]
            yield limit if again == 1 else dataclasses.replace(limit, id=f"{limit.id}-{again}")


def metadata_headers(policies: Iterable[TrafficPolicy | None]) -> tuple[MetadataHeader, ...]:
    """The headers that stand for metadata in the rules of all ``policies``, each once."""
    matches = (match for policy in policies for rule in _rules(policy) for match in rule.metadata)
    return tuple(dict.fromkeys(_metadata_header(match) for match in matches))


def _rules(policy: TrafficPolicy | None) -> tuple[Rule, ...]:
    return policy.rate_limit.rules if policy and policy.rate_limit else ()


def _selectors(rule: Rule, path: FieldPath, document: Document) -> Iterator[Selector]:
    for i, header in enumerate(rule.headers):
        yield _selector(header, (*path, "headers", i), document)
    for i, match in enumerate(rule.metadata):
        how = Match.DISTINCT if match.value is None else Match.EXACT
        yield Selector(_metadata_header(match).header, how, match.value, document.origin((*path, "metadata", i)))


def _selector(header: HeaderMatch, path: FieldPath, document: Document) -> Selector:
    return Selector(header.name.lower(), Match(header.type), header.value, document.origin(path))


def _metadata_header(match: MetadataMatch) -> MetadataHeader:
    """Stock proxies select on headers alone, so the filter puts the metadata into one of its own."""
    path = tuple(step.key for step in match.paths)
    default = match.default_value or names.UNKNOWN
    name = digest([match.name, path, default])[:8]
    return MetadataHeader(f"{names.METADATA_HEADER_PREFIX}{name}", match.name, path, default)


def _limit(owner: str, spec: LimitSpec, selectors: tuple[Selector, ...], path: FieldPath, document: Document) -> Limit:
    kind = _KINDS[spec.type or "Request"]
    unit = Unit(spec.unit or "Minute")
    counts = _weights(spec.weights) if spec.weights else Token(spec.token or "Total")
    who = digest(sorted([s.header, s.match.value, s.value or ""] for s in selectors))[:8] if selectors else "all"
    return Limit(
        id=f"{owner}/{_what(kind, counts)}/{unit.value.lower()}/{who}",
        kind=kind,
        quantity=spec.quantity,
        unit=unit,
        selectors=selectors,
        origin=document.origin((*path, "quantity")),
        counts=counts,
        shadow=bool(spec.shadow),
    )


def _what(kind: Kind, counts: Token | Weights) -> str:
    if isinstance(counts, Weights):
        return f"weighted-{kind}"
    return kind if counts is Token.TOTAL else f"{counts.lower()}-{kind}"


def _weights(spec: WeightsSpec) -> Weights:
    """A kind without a weight costs what the kind does that it is a part of, and that costs 1."""
    prompt, completion = _decimal(spec.prompt, Decimal(1)), _decimal(spec.completion, Decimal(1))
    return Weights(
        prompt=prompt,
        cached_prompt=_decimal(spec.cached_prompt, prompt),
        cache_write=_decimal(spec.cache_write, prompt),
        completion=completion,
        reasoning=_decimal(spec.reasoning, completion),
    )


def _decimal(value: float | None, default: Decimal) -> Decimal:
    # A float's shortest text is what the policy says, up to fifteen digits.
    return default if value is None else Decimal(repr(value)).normalize()
