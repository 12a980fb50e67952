"""``manifests/observability``: current, valid for who reads it, and in step with what the filter writes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import promql_parser
import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from llmroute import names
from llmroute.emit import EnvoyOptions
from llmroute.emit.envoy_static import envoy_static
from llmroute.emit.telemetry import fields
from llmroute.local.envoy import validate as validate_bootstrap
from llmroute.targets import ENVOY
from tests.golden.crds import validate
from tests.observability import DASHBOARD, RULES, expressions
from tests.policies import compiled, header, limit, route, rule
from tools import observability as files
from tools.written import ROOT

BACKEND: Final = {
    "apiVersion": "gateway.envoyproxy.io/v1alpha1",
    "kind": "Backend",
    "metadata": {"name": "llm", "namespace": "default"},
    "spec": {"endpoints": [{"ip": {"address": "192.0.2.1", "port": 80}}]},
}


def bootstrap(**options: Any) -> dict[str, Any]:
    """The HttpConnectionManager of a plain Envoy."""
    made = compiled(route(rule(limit(10), headers=[header(names.USER_HEADER, "Distinct")])), BACKEND, target=ENVOY)
    text = envoy_static(made.plan, EnvoyOptions(**options)).text
    validate_bootstrap(text)
    listener = yaml.safe_load(text)["static_resources"]["listeners"][0]
    config: dict[str, Any] = listener["filter_chains"][0]["filters"][0]["typed_config"]
    return config


def read(path: Path) -> Any:
    """A YAML file."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_the_files_are_current() -> None:
    """``make regenerate`` writes them."""
    assert {p: p.read_text(encoding="utf-8") for p in files.outputs()} == files.outputs()


@pytest.mark.usefixtures("crds_at_hand")
def test_the_envoy_proxy_is_valid() -> None:
    """By Envoy Gateway's CRD and its rules."""
    assert validate(read(files.ENVOY_PROXY)) == []


def test_the_twins_say_the_same() -> None:
    """One line for both; and the plain Envoy's file is what ``generate`` makes, and what Envoy takes."""
    (setting,) = read(files.ENVOY_PROXY)["spec"]["telemetry"]["accessLog"]["settings"]
    loggers = read(files.ENVOY)["access_log"]
    assert loggers[0]["typed_config"]["log_format"]["json_format"] == setting["format"]["json"] == fields()
    assert bootstrap(access_log="/dev/stdout", usage_counters=True)["access_log"] == loggers
    assert bootstrap(access_log="/dev/stdout")["access_log"] == loggers[:1]
    assert bootstrap(usage_counters=True)["access_log"] == loggers[1:]
    assert "access_log" not in bootstrap()


def test_the_line_reads_what_the_filter_writes() -> None:
    """Each key of the metadata stands in the filter's contract."""
    contract = (ROOT / "filters/lua/README.md").read_text(encoding="utf-8").partition("**Out**")[2]
    keys = re.findall(rf"{names.METADATA_NAMESPACE}:(\w+)\)", " ".join(fields().values()))
    assert len(keys) == 9
    assert [key for key in keys if f"`{key}`" not in contract] == []


def test_no_label_is_a_clients() -> None:
    """A counter is kept for each value of its labels: none comes from a header, a model or a path."""
    tags = re.findall(r"value_format: (.*)", files.ENVOY.read_text(encoding="utf-8"))
    assert len(tags) > 6
    assert [t for t in tags if re.search(r"REQ\(|PATH|:model|request\.(headers|path)", t)] == []


@pytest.mark.parametrize("place", expressions())
def test_every_expression_is_promql(place: str) -> None:
    """And has a number for each label that its words mention."""
    parsed = promql_parser.parse(expressions()[place])
    assert isinstance(parsed, promql_parser.AggregateExpr | promql_parser.BinaryExpr)


@pytest.mark.parametrize("alert", RULES, ids=lambda r: r["alert"])
def test_an_alert_is_whole(alert: dict[str, Any]) -> None:
    """Name, expression, severity and summary; its words name only labels that the expression keeps."""
    assert set(alert) <= {"alert", "expr", "for", "labels", "annotations"}
    assert re.fullmatch(r"LLMRoute\w+", alert["alert"])
    assert alert["labels"]["severity"] in {"info", "warning", "critical"}
    kept = {name.strip() for group in re.findall(r"by \(([^)]*)\)", alert["expr"]) for name in group.split(",")}
    said = set(re.findall(r"\$labels\.(\w+)", " ".join(alert["annotations"].values())))
    assert said
    assert said <= kept
    assert f"| `{alert['alert']}`" in (ROOT / "docs/observability.md").read_text(encoding="utf-8")


def test_the_dashboard_is_grafanas() -> None:
    """Grafana's own types read it, and give back every field: there is none that they do not know."""
    given = json.dumps(DASHBOARD)
    read_back = json.loads(json.dumps(Dashboard.from_json(json.loads(given)), cls=JSONEncoder))
    assert list(_lost(DASHBOARD, read_back)) == []


def _lost(given: Any, kept: Any, path: str = "dashboard") -> Any:
    if isinstance(given, dict):
        for key, value in given.items():
            if not isinstance(kept, dict) or key not in kept:
                yield f"{path}.{key}"
            else:
                yield from _lost(value, kept[key], f"{path}.{key}")
    elif isinstance(given, list):
        if not isinstance(kept, list) or len(given) != len(kept):
            yield path
        else:
            for n, pair in enumerate(zip(given, kept, strict=True)):
                yield from _lost(*pair, f"{path}[{n}]")
    elif given != kept:
        yield path


def test_the_panels_of_the_dashboard() -> None:
    """Each with an id, a description, its data source chosen by the reader, and a place that no other has."""
    panels = DASHBOARD["panels"]
    assert sorted(p["id"] for p in panels) == list(range(1, len(panels) + 1))
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        assert panel["description"].endswith(".")
        assert {t["datasource"]["uid"] for t in panel["targets"]} == {"${datasource}"} == {panel["datasource"]["uid"]}
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken
        taken |= cells
