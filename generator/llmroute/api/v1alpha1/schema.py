"""The JSON Schema of the LLMRoute, for editors: made of the models, with their docstrings as descriptions.

A field that may be left out is of its own type here, without the null that the models take for it.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any, Final

from llmroute import names
from llmroute.api.v1alpha1 import identity, models
from llmroute.api.v1alpha1.models import LLMRoute

Schema = dict[str, Any]

DRAFT: Final = "http://json-schema.org/draft-07/schema#"
"""What editors know best."""
_ROOT: Final = LLMRoute.__name__


def definitions() -> dict[str, Schema]:
    """The schema of each model by its class's name; they refer to each other as ``#/definitions/<name>``."""
    made = LLMRoute.model_json_schema(ref_template="#/definitions/{model}")
    parts: dict[str, Schema] = {**made.pop("$defs"), _ROOT: made}
    described = dict(_descriptions(models)) | dict(_descriptions(identity))
    return {name: _definition(parts[name], name, described) for name in sorted(parts)}


def json_schema() -> Schema:
    """The whole schema. A document of another kind passes: streams hold Services and Backends, too."""
    return {
        "$schema": DRAFT,
        "title": _ROOT,
        "type": "object",
        "if": {"properties": {"kind": {"const": names.KIND}}, "required": ["kind"]},
        "then": {"$ref": f"#/definitions/{_ROOT}"},
        "definitions": definitions(),
    }


def _definition(part: Schema, name: str, described: Mapping[tuple[str, str], str]) -> Schema:
    part = _plain(part)
    fields = part["properties"].items()
    return part | {"properties": {field: {"description": described[name, field]} | schema for field, schema in fields}}


def _plain(schema: Any) -> Any:
    """Without titles, which repeat the names, and with null neither as a default nor as a type."""
    if isinstance(schema, list):
        return [_plain(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    out: Schema = {
        key: {name: _plain(item) for name, item in value.items()} if key == "properties" else _plain(value)
        for key, value in schema.items()
        if key not in {"title", "default"}
    }
    choices = [choice for choice in out.get("anyOf", []) if choice != {"type": "null"}]
    if len(choices) == 1:
        del out["anyOf"]
        out |= choices[0]
    if isinstance(out.get("description"), str):
        out["description"] = out["description"].replace("``", "`")
    return out


def _descriptions(module: ModuleType) -> Iterator[tuple[tuple[str, str], str]]:
    """The text below each field of each model of ``module``, by class and by the field's name in YAML."""
    for node in ast.parse(inspect.getsource(module)).body:
        if not isinstance(node, ast.ClassDef):
            continue
        fields = getattr(module, node.name).model_fields
        for field, below in zip(node.body, node.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                text = below.value.value if _is_text(below) else ""  # type: ignore[attr-defined]
                yield (node.name, fields[field.target.id].alias), text


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
