"""What the counters of a plain Envoy's limits are called. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from e2e.clock import window_start
from llmroute.emit.envoy_rate_limits import chain
from llmroute.emit.ratelimit_config import domain
from llmroute.limiter.limiter import counter_key
from llmroute.plan import Plan


def counter_of(plan: Plan, limit: int, values: Iterable[str], seconds: float) -> str:
    """The full key of the ``limit``-th limit's counter, for these values of its Distinct headers, at that time."""
    route, found = [(r, lim) for r in plan.routes for _, lim in r.limits()][limit]
    rest = iter(values)
    entries = [(key, next(rest) if fixed is None else fixed) for key, fixed in chain(found)]
    return counter_key(domain(route), entries, window_start(seconds, found.unit))
