"""How commands name limits, and what they count, to people and in records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmroute.encoding import in_words
from llmroute.explain.counters import Counter
from llmroute.plan import Backend, Limit, Match, MetadataHeader, Route, Selector


def of_header(route: Route, header: str) -> str:
    """The header as the policy names it: metadata by its path."""
    known: Mapping[str, MetadataHeader] = {h.header: h for h in route.metadata_headers}
    return ".".join(known[header].path) if header in known else header


def of_limit(route: Route, backend: Backend | None, limit: Limit) -> str:
    """``10000 tokens per hour for each x-user-id, of the backend openai``."""
    each = [of_header(route, s.header) for s in limit.selectors if s.match is Match.DISTINCT]
    fixed = [_fixed(route, s) for s in limit.selectors if s.match is not Match.DISTINCT]
    shadow = " (shadow)" if limit.shadow else ""
    parts = [f"{in_words(limit)}{shadow}"]
    parts += [f"for each {' and '.join(each)}"] if each else []
    parts += [f"where {' and '.join(fixed)}"] if fixed else []
    parts += [f"at the backend {backend.name}"] if backend and route.tells(backend) else []
    return " ".join(parts)


def _fixed(route: Route, selector: Selector) -> str:
    return f"{of_header(route, selector.header)} is {'like ' * (selector.match is Match.REGEX)}{selector.value}"


def record_of(route: Route, counter: Counter) -> dict[str, Any]:
    """What a limit is, for machines."""
    limit = counter.limit
    return {
        "limit": counter.place,
        "says": of_limit(route, counter.backend, limit),
        "file": limit.origin.file,
        "line": limit.origin.line,
        "type": limit.kind.value,
        "quantity": limit.quantity,
        "unit": limit.unit.value,
        "shadow": limit.shadow,
    }
