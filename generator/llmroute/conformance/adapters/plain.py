"""Policies compiled for a plain Envoy on this machine, and what the counters of their limits are called."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from llmroute.conformance.windows import window_start
from llmroute.diagnostic import has_errors
from llmroute.emit.envoy_rate_limits import chain
from llmroute.emit.ratelimit_config import domain
from llmroute.limiter.limiter import counter_key
from llmroute.pipeline import compile_policies
from llmroute.plan import Endpoint, Plan
from llmroute.targets import ENVOY, capabilities


def plain_plan(policy: str, upstream_port: int, *, refunds: bool = False) -> Plan:
    """The plan of a policy, every backend of which is at that port of this machine.

    ``refunds``: the rate limit service takes them.

    Raises:
        ValueError: the policy has errors; says which.
    """
    upstream: dict[str | None, Endpoint] = {None: Endpoint("127.0.0.1", upstream_port)}
    target = dataclasses.replace(capabilities(ENVOY), refunds=refunds)
    compiled = compile_policies([("policy.yaml", policy)], target, stand_ins=upstream)
    if has_errors(compiled.diagnostics):
        raise ValueError("; ".join(str(d) for d in compiled.diagnostics))
    return compiled.plan


def counter_of(plan: Plan, limit: int, values: Iterable[str], seconds: float) -> str:
    """The full key of the ``limit``-th limit's counter, for these values of its Distinct headers, at that time."""
    route, found = [(r, lim) for r in plan.routes for _, lim in r.limits()][limit]
    rest = iter(values)
    entries = [(key, next(rest) if fixed is None else fixed) for key, fixed in chain(found)]
    return counter_key(domain(route), entries, window_start(seconds, found.unit))
