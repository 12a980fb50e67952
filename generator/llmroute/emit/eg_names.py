"""What Envoy Gateway calls the counter of a shared limit, so that the filter can charge it.

The naming is Envoy Gateway's own and in no contract (PLATFORM 2.21). ``targets`` says for which versions it is
proven: ``e2e/test_eg_names.py`` holds it against Envoy Gateway's translator, and the filter believes only an
answer that names a limit.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from llmroute.emit.envoy_rate_limits import Entry
from llmroute.plan import Backend, Limit, Match, Route
from llmroute.settlement import prepays

CLUSTER: Final = "ratelimit_cluster"
"""Of the rate limit service, in every Envoy that has a limit."""


def domain(route: Route) -> str:
    """The rate limit domain of the policy of ``route``, which must say its namespace."""
    if route.namespace is None:
        raise ValueError(f"the namespace of {route.name} is not known")
    return f"{route.namespace}/{route.name}"


def entries(route: Route, index: int, backend: Backend | None, limit: Limit) -> list[Entry]:
    """The descriptor of the ``index``-th rule: the rule, then each of its headers, or one for all requests."""
    rule = f"{domain(route)}/rule/{index}"
    return [(rule, rule), *_headers(route, index, backend, limit)]


def _headers(route: Route, index: int, backend: Backend | None, limit: Limit) -> Iterator[Entry]:
    matches = [selector.match for selector in limit.selectors]
    if route.tells(backend):
        matches.insert(0, Match.EXACT)  # its name, as ``traffic_policy`` has it
    if prepays(route, limit):
        matches.append(Match.EXACT)  # that the filter has not admitted it
    for place, match in enumerate(matches):
        key = f"rule-{index}-match-{place}"
        yield key, None if match is Match.DISTINCT else key
    if not matches:
        yield f"rule-{index}-match--1", f"rule-{index}-match--1"
