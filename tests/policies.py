"""Policies for tests, made from a few words, and what the compiler says of them."""

from __future__ import annotations

from typing import Any

from llmroute import names
from llmroute.conformance.policies import header, limit, route, rule, text, with_spec
from llmroute.diagnostic import Diagnostic
from llmroute.pipeline import Compiled, compile_policies
from llmroute.targets import ENVOY_GATEWAY, Capabilities, capabilities

__all__ = ["MODEL", "USER", "compiled", "findings", "header", "limit", "route", "rule", "text", "with_spec"]

MODEL = names.MODEL_HEADER
USER = names.USER_HEADER


def compiled(*documents: dict[str, Any], target: str | Capabilities = ENVOY_GATEWAY) -> Compiled:
    """What the compiler makes of ``documents``; ``target`` may be a row that no table has."""
    row = capabilities(target) if isinstance(target, str) else target
    return compile_policies([("policy.yaml", text(*documents))], row)


def findings(*documents: dict[str, Any], target: str | Capabilities = ENVOY_GATEWAY) -> list[tuple[str, Diagnostic]]:
    """Code and record of each finding."""
    return [(d.code.id, d) for d in compiled(*documents, target=target).diagnostics]
