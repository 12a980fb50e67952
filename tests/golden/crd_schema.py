"""The structural part of a CRD's schema, as the API server applies it.

The schemas are Kubernetes "structural schemas": OpenAPI v3 with ``x-kubernetes-*`` extensions. What an API
server does with them, in its order: refuse unknown fields, drop nulls, fill in defaults, check the schema,
check the keys of lists that are maps.
"""

from __future__ import annotations

import base64
import copy
import functools
import ipaddress
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

import re2
from jsonschema import Draft202012Validator, FormatChecker, ValidationError, validators

from llmroute.diagnostic import FieldPath, field_name

Schema = Mapping[str, Any]

BLOCKING: Final = frozenset({"type", "required", "enum", "maxLength", "maxItems", "maxProperties"})
"""After one of these the API server leaves the CEL rules unchecked: they would stumble over the same fault."""

_COPIED: Final = frozenset(
    [
        "enum",
        "format",
        "maxItems",
        "maxLength",
        "maxProperties",
        "maximum",
        "minItems",
        "minLength",
        "minProperties",
        "minimum",
        "pattern",
        "required",
        "type",
    ]
)
_BOUNDS: Final = frozenset({"maxItems", "maxLength", "maxProperties", "minItems", "minProperties"})
_SCHEMA_LISTS: Final = ("allOf", "anyOf", "oneOf")
_IGNORED: Final = frozenset(
    [
        "default",
        "nullable",
        "x-kubernetes-int-or-string",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-list-type",
        "x-kubernetes-map-type",
        "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-validations",
    ]
)
"""What has no place in JSON Schema: it is converted here, or checked elsewhere in this directory."""


def children(value: Any, schema: Schema) -> Iterator[tuple[str | int, Any, Schema | None]]:
    """Key, value and schema of what ``value`` holds; the schema is None where the CRD knows no such field."""
    if isinstance(value, Mapping):
        properties = schema.get("properties", {})
        others = schema.get("additionalProperties")
        for key, item in value.items():
            known = properties.get(key, others if isinstance(others, Mapping) else None)
            yield key, item, known
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield index, item, schema.get("items", {})


def unknown_fields(value: Any, schema: Schema, path: FieldPath = ()) -> Iterator[str]:
    """A message for each field that the CRD does not know."""
    open_ended = (
        schema.get("x-kubernetes-preserve-unknown-fields")
        or schema.get("additionalProperties") is True
        or (isinstance(value, Mapping) and schema.get("type") != "object")  # a type error says it all
    )
    for key, item, known in children(value, schema):
        if known is not None:
            yield from unknown_fields(item, known, (*path, key))
        elif not open_ended:
            yield f"{field_name((*path, key))}: unknown field"


def defaulted(value: Any, schema: Schema) -> Any:
    """A copy of ``value`` without nulls where null is not allowed, and with every default."""
    if isinstance(value, Mapping):
        out: dict[str, Any] = {}
        for key, item, known in children(value, schema):
            if item is None and known is not None and not known.get("nullable"):
                continue
            out[str(key)] = item if known is None else defaulted(item, known)
        for key, known in schema.get("properties", {}).items():
            if key not in out and "default" in known:
                out[key] = defaulted(copy.deepcopy(known["default"]), known)
        return out
    if isinstance(value, list):
        return [defaulted(item, schema.get("items", {})) for item in value]
    return value


def structural(value: Any, schema: Schema) -> list[ValidationError]:
    """What JSON Schema has to say, in the order of the document."""
    errors = _validator(json.dumps(schema)).iter_errors(value)
    return sorted(errors, key=lambda error: [str(part) for part in error.absolute_path])


def message_of(error: ValidationError) -> str:
    """One line: the field and what is wrong with it."""
    where = field_name(tuple(error.absolute_path)) or "(root)"
    if error.validator in _BOUNDS:  # jsonschema's own message repeats the whole value
        return f"{where}: {error.validator} is {error.validator_value}, there are {len(error.instance)}"
    return f"{where}: {error.message}"


def duplicate_items(value: Any, schema: Schema, path: FieldPath = ()) -> Iterator[str]:
    """A message for each item of a map-like or set-like list whose key was there before."""
    if isinstance(value, list) and schema.get("x-kubernetes-list-type") in ("map", "set"):
        keys = schema.get("x-kubernetes-list-map-keys")
        seen: set[str] = set()
        for index, item in enumerate(value):
            key = {name: item.get(name) for name in keys} if keys and isinstance(item, Mapping) else item
            text = json.dumps(key, sort_keys=True)
            if text in seen:
                yield f"{field_name((*path, index))}: duplicate of an earlier item, {text}"
            seen.add(text)
    for key, item, known in children(value, schema):
        if known is not None:
            yield from duplicate_items(item, known, (*path, key))


@functools.cache
def _validator(schema: str) -> Any:
    """A validator for a schema, given as JSON so that it can be cached."""
    return _CLASS(json_schema(json.loads(schema)), format_checker=_FORMATS)


def json_schema(schema: Schema) -> dict[str, Any]:
    """The JSON Schema of an OpenAPI v3 one.

    Raises:
        ValueError: a keyword or format that this module does not know, and so would not check.
    """
    out: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "format" and value not in _FORMATS.checkers:
            raise ValueError(f"unknown format {value!r}")
        if key == "properties":
            out[key] = {name: json_schema(item) for name, item in value.items()}
        elif key in ("items", "not", "additionalProperties"):
            out[key] = json_schema(value) if isinstance(value, Mapping) else value
        elif key in _SCHEMA_LISTS:
            out[key] = [json_schema(item) for item in value]
        elif key in _COPIED:
            out[key] = value
        elif key not in _IGNORED:
            raise ValueError(f"unknown keyword {key!r}")
    if schema.get("x-kubernetes-int-or-string"):
        out["type"] = ["integer", "string"]
    if schema.get("nullable"):
        out["type"] = [*([out["type"]] if isinstance(out["type"], str) else out["type"]), "null"]
    return out


def _pattern(_: Any, pattern: str, value: Any, __: Schema) -> Iterator[ValidationError]:
    """``pattern`` in RE2, the API server's own: Python's ``$`` lets a line end through."""
    if isinstance(value, str) and not re2.search(pattern, value):
        yield ValidationError(f"{value!r} does not match {pattern!r}")


_CLASS: Any = validators.extend(Draft202012Validator, {"pattern": _pattern})
_FORMATS: Final = FormatChecker(formats=())


def _fits(bits: int, value: Any) -> bool:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return not whole or -(2 ** (bits - 1)) <= value < 2 ** (bits - 1)


def _is_base64(value: Any) -> bool:
    return not isinstance(value, str) or base64.b64decode(value, validate=True) is not None


def _is_time(value: Any) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


def _is_ipv4(value: Any) -> bool:
    return not isinstance(value, str) or ipaddress.IPv4Address(value) is not None


def _is_ipv6(value: Any) -> bool:
    return not isinstance(value, str) or ipaddress.IPv6Address(value) is not None


for _name, _check in {
    "int32": functools.partial(_fits, 32),
    "int64": functools.partial(_fits, 64),
    "byte": _is_base64,
    "date-time": _is_time,
    "ipv4": _is_ipv4,
    "ipv6": _is_ipv6,
}.items():
    _FORMATS.checks(_name, raises=ValueError)(_check)
