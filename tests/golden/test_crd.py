"""``llmroute schema``: the schema for editors and the CRD say what the models and the checks say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from jsonschema import Draft7Validator
from pydantic import BaseModel

from llmroute import names
from llmroute.api.v1alpha1 import LLMRoute, identity, models
from llmroute.api.v1alpha1.crd import crd
from llmroute.api.v1alpha1.schema import definitions, json_schema
from llmroute.render.yaml import dump
from tests.crd_cases import REFUSED, taken
from tests.golden import crd_rules, crd_schema
from tests.golden.crds import faults
from tests.policies import compiled, findings
from tools import schema as files
from tools.crds import undescribed
from tools.examples import examples

CRD: Final[dict[str, Any]] = yaml.safe_load(dump(crd()))
SCHEMA: Final = undescribed(CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"])
TAKEN: Final = dict(taken())
NO_KEYWORD: Final = {"unknown-field", "wrong-type", "negative", "too-large", "missing", "unit", "no-limit", "no-backend", "name", "no-paths", "negative-weight"}  # fmt: skip
"""Refused for what one field is: the editor's schema sees it too. The rest is between fields."""


def _models() -> Iterator[type[BaseModel]]:
    for module in (models, identity):
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, BaseModel) and value.__module__ == module.__name__:
                yield value


def test_the_committed_files_are_current() -> None:
    """``make regenerate`` writes them."""
    assert {p: p.read_text(encoding="utf-8") for p in files.outputs()} == files.outputs()


def test_every_field_of_every_model_is_described() -> None:
    """By its docstring, under the name that YAML has; and nothing else is in the schema."""
    made = definitions()
    for model in _models():
        expected = {field.alias for field in model.model_fields.values()}
        properties = made[model.__name__]["properties"]
        assert set(properties) == expected
        assert [name for name, field in properties.items() if not field["description"].endswith(".")] == []


def test_the_schema_is_a_schema() -> None:
    """Draft 7, without a null and without a title that repeats a name."""
    Draft7Validator.check_schema(json_schema())
    text = json.dumps(definitions())
    assert '"null"' not in text
    assert '"title"' not in text


@pytest.mark.parametrize("name", TAKEN)
def test_what_is_fine(name: str) -> None:
    """Fine for the models, the editor's schema and the CRD."""
    document = TAKEN[name]
    assert [code for code, d in findings(document) if d.severity == "error"] == []
    assert list(Draft7Validator(json_schema()).iter_errors(document)) == []
    assert faults(document, SCHEMA) == []


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str) -> None:
    """By ``llmroute check`` and by the CRD, at the same place."""
    document, code, place, says = REFUSED[name]
    assert code in [found for found, _ in findings(document)]
    assert not compiled(document).artifacts
    found = faults(document, SCHEMA)
    assert any(message.startswith(f"{place}: ") and says in message for message in found), found
    assert bool(list(Draft7Validator(json_schema()).iter_errors(document))) == (name in NO_KEYWORD)


def test_other_kinds_pass_the_editors_schema() -> None:
    """A modeline counts for all documents of a file, in some editors."""
    assert list(Draft7Validator(json_schema()).iter_errors({"kind": "Service", "spec": {"anything": 1}})) == []


def test_the_crd_is_structural() -> None:
    """Nothing but the keywords of a structural schema, a type everywhere, and rules that compile."""
    crd_schema.json_schema(SCHEMA)
    assert [path for path, node in _nodes(SCHEMA, "spec") if "type" not in node] == []
    text = json.dumps(SCHEMA)
    for forbidden in ('"$ref"', '"additionalProperties"', '"const"', '"anyOf"', '"title"', '"default"'):
        assert forbidden not in text
    rules = list(crd_rules.rules_of(SCHEMA))
    assert len(rules) >= 15
    for rule in rules:
        assert not crd_rules.unknown_functions(rule)


def _nodes(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, item in schema.get("properties", {}).items():
        yield from _nodes(item, f"{path}.{name}")
    if "items" in schema:
        yield from _nodes(schema["items"], f"{path}[]")


def test_the_crd_has_every_field() -> None:
    """Of the whole LLMRoute, at its place."""
    spec = SCHEMA["properties"]["spec"]["properties"]
    assert set(spec) == {field.alias for field in models.LLMRouteSpec.model_fields.values()}
    assert CRD["metadata"]["name"] == f"{CRD['spec']['names']['plural']}.{names.GROUP}"
    assert {"apiVersion", "kind", "metadata", "spec", "status"} == set(SCHEMA["properties"])
    assert set(LLMRoute.model_json_schema()["properties"]) == set(SCHEMA["properties"])


@pytest.mark.parametrize("policy", examples(), ids=lambda p: p.parent.name)
def test_every_example_names_the_schema(policy: Path) -> None:
    """In a line that editors with a YAML language server read; it leads to the committed schema."""
    first = policy.read_text(encoding="utf-8").splitlines()[0]
    head = "# yaml-language-server: $schema="
    assert first.startswith(head)
    assert (policy.parent / first.removeprefix(head)).resolve() == files.SCHEMA
