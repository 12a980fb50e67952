"""Policies for tests, made from a few words."""

from __future__ import annotations

from typing import Any

from llmroute.diagnostic import Diagnostic
from llmroute.pipeline import Compiled, compile_policies
from llmroute.render.yaml import dump, join
from llmroute.targets import ENVOY_GATEWAY, Capabilities, capabilities

MODEL = "x-ai-gateway-llm-model-name"
USER = "x-user-id"


def header(name: str, match: str, value: str | None = None) -> dict[str, Any]:
    """An entry of ``headers``."""
    return {"name": name, "type": match} | ({} if value is None else {"value": value})


def limit(quantity: int, kind: str = "Token", unit: str = "Hour", **more: Any) -> dict[str, Any]:
    """An entry of ``limits``; ``more`` are ``token``, ``weights``, ``shadow``."""
    return {"type": kind, "quantity": quantity, "unit": unit, **more}


def rule(
    *limits: dict[str, Any], headers: list[dict[str, Any]] | None = None, metadata: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    """An entry of ``rules``."""
    selected = ({"headers": headers} if headers else {}) | ({"metadata": metadata} if metadata else {})
    return selected | {"limits": list(limits)}


def route(*rules: dict[str, Any], name: str = "route", **backends: list[dict[str, Any]]) -> dict[str, Any]:
    """An LLMRoute: with ``rules`` on the backend ``llm``, or with several backends by name."""
    by_name = backends or {"llm": list(rules)}
    entries = [
        {"backendRef": {"name": b, "kind": "Backend"}, "trafficPolicy": {"rateLimit": {"rules": r}}}
        for b, r in by_name.items()
    ]
    return {
        "apiVersion": "aigateway.envoyproxy.io/v1alpha1",
        "kind": "LLMRoute",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"targetRefs": [{"name": "gateway"}], "backends": entries},
    }


def with_spec(policy: dict[str, Any], of_all: list[dict[str, Any]] | None = None, **fields: Any) -> dict[str, Any]:
    """The same LLMRoute with more in its ``spec``; ``of_all`` are rules across all backends."""
    more = {"trafficPolicy": {"rateLimit": {"rules": of_all}}} if of_all else {}
    return {**policy, "spec": {**policy["spec"], **more, **fields}}


def text(*documents: dict[str, Any]) -> str:
    """A YAML stream."""
    return join(dump(document) for document in documents)


def compiled(*documents: dict[str, Any], target: str | Capabilities = ENVOY_GATEWAY) -> Compiled:
    """What the compiler makes of ``documents``; ``target`` may be a row that no table has."""
    row = capabilities(target) if isinstance(target, str) else target
    return compile_policies([("policy.yaml", text(*documents))], row)


def findings(*documents: dict[str, Any], target: str | Capabilities = ENVOY_GATEWAY) -> list[tuple[str, Diagnostic]]:
    """Code and record of each finding."""
    return [(d.code.id, d) for d in compiled(*documents, target=target).diagnostics]
