"""LLMRoutes from a few words, as cases and tests need many of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from llmroute import names
from llmroute.render.yaml import dump, join


def header(name: str, match: str, value: str | None = None) -> dict[str, Any]:
    """An entry of ``headers``."""
    return {"name": name, "type": match} | ({} if value is None else {"value": value})


USERS: Final[Sequence[dict[str, Any]]] = (header(names.USER_HEADER, "Distinct"),)
"""The ``headers`` of a rule for each user."""


def limit(quantity: int, kind: str = "Token", unit: str = "Hour", **more: Any) -> dict[str, Any]:
    """An entry of ``limits``; ``more`` are ``token``, ``weights``, ``shadow``."""
    return {"type": kind, "quantity": quantity, "unit": unit, **more}


def rule(
    *limits: dict[str, Any],
    headers: Sequence[dict[str, Any]] | None = None,
    metadata: Sequence[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """An entry of ``rules``."""
    selected = ({"headers": list(headers)} if headers else {}) | ({"metadata": list(metadata)} if metadata else {})
    return selected | {"limits": list(limits)}


def route(*rules: dict[str, Any], name: str = "route", **backends: list[dict[str, Any]]) -> dict[str, Any]:
    """An LLMRoute: with ``rules`` on the backend ``llm``, or with several backends by name."""
    by_name = backends or {"llm": list(rules)}
    entries = [
        {"backendRef": {"name": b, "kind": "Backend"}, "trafficPolicy": {"rateLimit": {"rules": r}}}
        for b, r in by_name.items()
    ]
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
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


def per_user(quantity: int, unit: str = "Day", spec: Mapping[str, Any] | None = None, **more: Any) -> str:
    """A policy with one limit for each user; ``more`` are the limit's."""
    return text(with_spec(route(rule(limit(quantity, unit=unit, **more), headers=USERS)), **dict(spec or {})))
