"""The alert rules and the dashboard of ``manifests/observability``, and the metrics that they use."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import promql_parser
import yaml

from tools.observability import FOLDER

RULES: Final[list[dict[str, Any]]] = [
    rule
    for group in yaml.safe_load((FOLDER / "rules.yaml").read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
DASHBOARD: Final[dict[str, Any]] = json.loads((FOLDER / "dashboard.json").read_text(encoding="utf-8"))
INTERVAL: Final = "$__rate_interval"
"""What Grafana puts in its place is no PromQL."""


def expressions() -> dict[str, str]:
    """Each expression by where it stands, as Prometheus gets it."""
    panels = {
        f"{panel['title']} {target['refId']}": target["expr"].replace(INTERVAL, "5m")
        for panel in DASHBOARD["panels"]
        for target in panel["targets"]
    }
    return {rule["alert"]: rule["expr"] for rule in RULES} | panels


def metrics_of(node: Any) -> Iterator[str]:
    """The names of the metrics in a parsed expression."""
    if isinstance(node, promql_parser.VectorSelector):
        yield str(node.name)
        return
    for part in ("expr", "lhs", "rhs", "vector_selector", "vs"):
        if (inner := getattr(node, part, None)) is not None:
            yield from metrics_of(inner)
    for argument in getattr(node, "args", None) or []:
        yield from metrics_of(argument)


def used_metrics() -> set[str]:
    """Of all rules and panels."""
    return {name for text in expressions().values() for name in metrics_of(promql_parser.parse(text))}
