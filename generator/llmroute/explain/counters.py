"""What the rate limit service calls the counters of a limit, on each target."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping

from llmroute.emit import eg_names
from llmroute.emit.envoy_rate_limits import Entry, chain
from llmroute.emit.ratelimit_config import domain as plain_domain
from llmroute.limiter.limiter import counter_key
from llmroute.lower import DEFAULT_NAMESPACE
from llmroute.plan import Backend, Limit, Match, Route
from llmroute.targets import Capabilities


@dataclasses.dataclass(frozen=True, slots=True)
class Counter:
    """The counters of one limit: one for each set of values of the ``distinct`` headers. ``place`` counts from 1."""

    place: int
    backend: Backend | None
    limit: Limit
    domain: str
    entries: tuple[Entry, ...]
    distinct: tuple[str, ...]

    def key(self, headers: Mapping[str, str], start: int) -> str:
        """Key of the counter for a request with these headers, in the window that began at ``start`` (Unix seconds)."""
        values = (headers[header] for header in self.distinct)
        return counter_key(
            self.domain, [(key, next(values) if value is None else value) for key, value in self.entries], start
        )

    def values(self, key: str, start: int) -> Mapping[str, str] | None:
        """The values of the Distinct headers, if ``key`` is a counter of this limit in that window."""
        parts = [_named(name, value) for name, value in self.entries]
        found = re.fullmatch(f"{re.escape(self.domain)}{''.join(parts)}_{start}", key, re.DOTALL)
        return dict(zip(self.distinct, found.groups(), strict=True)) if found else None


def _named(name: str, value: str | None) -> str:
    return f"_{re.escape(name)}_" + ("(.*?)" if value is None else re.escape(value))


def counters(route: Route, target: Capabilities) -> Iterator[Counter]:
    """Of every limit of ``route``, in its order. Without a namespace it is taken to be in ``default``."""
    if route.namespace is None:
        route = dataclasses.replace(route, namespace=DEFAULT_NAMESPACE)
    for index, (backend, limit) in enumerate(route.limits()):
        by_place = target.counts_by_place
        entries = eg_names.entries(route, index, backend, limit) if by_place else chain(limit)
        yield Counter(
            place=index + 1,
            backend=backend,
            limit=limit,
            domain=eg_names.domain(route) if by_place else plain_domain(route),
            entries=tuple(entries),
            distinct=tuple(s.header for s in limit.selectors if s.match is Match.DISTINCT),
        )


def domain_of(route: Route, target: Capabilities) -> str | None:
    """What the rate limit service calls ``route``; None where it has no limits."""
    return next((counter.domain for counter in counters(route, target)), None)
