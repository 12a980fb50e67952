"""Policies for tests, made from a few words, and what the compiler says of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from llmroute import names
from llmroute.conformance.policies import header, limit, route, rule, text, with_spec
from llmroute.diagnostic import Diagnostic
from llmroute.pipeline import Compiled, compile_policies
from llmroute.targets import ENVOY_GATEWAY, Capabilities, capabilities

__all__ = [
    "MODEL",
    "USER",
    "compiled",
    "findings",
    "header",
    "limit",
    "read_context",
    "route",
    "rule",
    "text",
    "with_spec",
]

MODEL = names.MODEL_HEADER
USER = names.USER_HEADER


def compiled(*documents: dict[str, Any], target: str | Capabilities = ENVOY_GATEWAY) -> Compiled:
    """What the compiler makes of ``documents``; ``target`` may be a row that no table has."""
    row = capabilities(target) if isinstance(target, str) else target
    return compile_policies([("policy.yaml", text(*documents))], row)


def findings(*documents: dict[str, Any], target: str | Capabilities = ENVOY_GATEWAY) -> list[tuple[str, Diagnostic]]:
    """Code and record of each finding."""
    return [(d.code.id, d) for d in compiled(*documents, target=target).diagnostics]


def read_context(context: Mapping[str, str]) -> dict[str, Any]:
    """What a filter context tells the Lua of its route."""
    found: dict[str, Any] = json.loads(context["route"])
    return found
