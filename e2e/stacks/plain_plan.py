"""Policies compiled for a plain Envoy on this machine."""

from __future__ import annotations

import dataclasses

from llmroute.diagnostic import has_errors
from llmroute.pipeline import compile_policies
from llmroute.plan import Endpoint, Plan
from llmroute.targets import ENVOY, capabilities


def plain_plan(policy: str, upstream_port: int, *, refunds: bool = False) -> Plan:
    """The plan of a policy without errors, every backend of which is at that port of this machine.

    ``refunds``: the rate limit service takes them.
    """
    upstream: dict[str | None, Endpoint] = {None: Endpoint("127.0.0.1", upstream_port)}
    target = dataclasses.replace(capabilities(ENVOY), refunds=refunds)
    compiled = compile_policies([("policy.yaml", policy)], target, stand_ins=upstream)
    assert not has_errors(compiled.diagnostics), [str(d) for d in compiled.diagnostics]
    return compiled.plan
