"""Policies compiled for a plain Envoy on this machine."""

from __future__ import annotations

from llmroute.diagnostic import has_errors
from llmroute.pipeline import compile_policies
from llmroute.plan import Endpoint, Plan
from llmroute.targets import ENVOY, capabilities


def plain_plan(policy: str, upstream_port: int) -> Plan:
    """The plan of a policy without errors, every backend of which is at that port of this machine."""
    upstream: dict[str | None, Endpoint] = {None: Endpoint("127.0.0.1", upstream_port)}
    compiled = compile_policies([("policy.yaml", policy)], capabilities(ENVOY), stand_ins=upstream)
    assert not has_errors(compiled.diagnostics), [str(d) for d in compiled.diagnostics]
    return compiled.plan
