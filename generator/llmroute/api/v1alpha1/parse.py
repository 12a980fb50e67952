"""From a document to an LLMRoute, or to every mistake in it with its place.

pydantic finds the mistakes; this module says them in the words of the policy.
"""

from __future__ import annotations

import difflib
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails

from llmroute import codes
from llmroute.api.v1alpha1.conflicts import conflicts
from llmroute.api.v1alpha1.models import IDLE_FIXED_TOKENS, NO_FIXED_TOKENS, LLMRoute, WeightsSpec
from llmroute.diagnostic import Code, Diagnostic, FieldPath, field_name
from llmroute.source import Document


@dataclass(frozen=True, slots=True)
class Parsed:
    """An LLMRoute with the document that it came from, for positions.

    ``findings``: fields that exclude each other; the plan cannot tell them any more.
    """

    route: LLMRoute
    document: Document
    findings: tuple[Diagnostic, ...] = ()


def parse(document: Document) -> Parsed | tuple[Diagnostic, ...]:
    """The LLMRoute of ``document``, or all that is wrong with it (one finding at least)."""
    try:
        route = LLMRoute.model_validate(_listed(document.value))
        return Parsed(route, document, tuple(conflicts(route, document)))
    except ValidationError as error:
        errors = error.errors()
        broken = [details["loc"] for details in errors]
        # A list whose entries are wrong is "too short" to pydantic; its entries' findings say enough.
        found = {
            _diagnostic(details, document): None
            for details in errors
            if details["type"] != "too_short" or not any(_is_inside(p, details["loc"]) for p in broken)
        }
        return tuple(sorted(found, key=lambda d: (d.origin.line, d.origin.column)))


def _is_inside(path: FieldPath, parent: FieldPath) -> bool:
    return len(path) > len(parent) and path[: len(parent)] == parent


def _listed(value: Any) -> Any:
    """Sequences as tuples: strict pydantic takes no list for a frozen model's tuple."""
    if isinstance(value, list):
        return tuple(_listed(item) for item in value)
    if isinstance(value, dict):
        return {key: _listed(item) for key, item in value.items()}
    return value


def _diagnostic(details: ErrorDetails, document: Document) -> Diagnostic:
    path: FieldPath = details["loc"]
    name = field_name(path)
    own = _OWN_CODES.get((details["type"], _last_name(path)))
    match details["type"]:
        case "missing" | "too_short" if own:
            return Diagnostic(own, document.origin(path), f"{name} needs at least 1 entry", _PATHS)
        case "extra_forbidden":
            return _unknown(path, document)
        case "missing":
            message = f"{name} is missing"
            return Diagnostic(codes.MISSING_FIELD, document.origin(path), message)
        case kind if kind == NO_FIXED_TOKENS:
            path = (*path[:-1], to_camel(str(path[-1])))  # of a default pydantic tells the name in Python
            hint = "say how many tokens onMissing: Fixed charges"
            return Diagnostic(codes.MISSING_FIELD, document.origin(path), f"{field_name(path)} is missing", hint)
        case kind if kind == IDLE_FIXED_TOKENS:
            message = f"{name} has no effect without onMissing: Fixed"
            origin = document.origin(path, of_key=True)
            return Diagnostic(codes.NO_EFFECT, origin, message, "say onMissing: Fixed, or remove it")
    message, hint = _wrong(details)
    code = own or (codes.NO_NAME if details["type"] == "string_pattern_mismatch" else codes.WRONG_VALUE)
    return Diagnostic(code, document.origin(path), f"{name} {message}", hint)


_PATHS: Final = "say which of the filter's metadata, key by key: paths: [{key: claims}, {key: tenant}]"
_WEIGHTS: Final = [field.alias or name for name, field in WeightsSpec.model_fields.items()]
_OWN_CODES: Final[Mapping[tuple[str, str], Code]] = {
    ("literal_error", "unit"): codes.UNKNOWN_UNIT,
    ("less_than_equal", "quantity"): codes.QUANTITY_TOO_LARGE,
    ("missing", "paths"): codes.NO_PATH,
    ("too_short", "paths"): codes.NO_PATH,
    ("string_pattern_mismatch", "uri"): codes.WRONG_VALUE,
    **{("greater_than_equal", weight): codes.NEGATIVE_WEIGHT for weight in _WEIGHTS},
}
"""Of mistakes that have a code of their own: type of the error and name of the field."""


def _last_name(path: FieldPath) -> str:
    return next((part for part in reversed(path) if isinstance(part, str)), "")


def _unknown(path: FieldPath, document: Document) -> Diagnostic:
    origin = document.origin(path, of_key=True)
    name = field_name(path)
    known = _fields_at(path[:-1])
    near = difflib.get_close_matches(str(path[-1]), known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}"
    return Diagnostic(codes.UNKNOWN_FIELD, origin, f"{name} is not a field of an LLMRoute", hint)


def _fields_at(path: FieldPath) -> list[str]:
    """The field names, as YAML has them, of the model at ``path``."""
    model: type[BaseModel] = LLMRoute
    for part in path:
        if isinstance(part, str):
            field = next(f for f in model.model_fields.values() if f.alias == part)
            model = next(_models_in(field.annotation))
    return [f.alias or "" for f in model.model_fields.values()]


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _models_in(argument)


def _wrong(details: ErrorDetails) -> tuple[str, str]:
    """A message that follows the field's name, and a hint or an empty string."""
    kind, context, value = details["type"], details.get("ctx", {}), details["input"]
    if kind == "literal_error":
        return _not_among(context["expected"], value)
    wanted = {
        "string_type": "must be a string",
        "int_type": "must be an integer",
        "float_type": "must be a number",
        "bool_type": "must be true or false",
        "tuple_type": "must be a list",
        "model_type": "must be a mapping",
        "model_attributes_type": "must be a mapping",
        "dict_type": "must be a mapping",
    }.get(kind)
    if wanted:
        return f"{wanted}, not {_said(value)}", _quoting(kind, value)
    if kind == "string_pattern_mismatch" and details["loc"][-1] == "uri":
        return f"must be an http or https URL, not {value!r}", ""
    hint = _FIELD_HINTS.get((kind, _last_name(details["loc"])), _HINTS.get(kind, ""))
    say = _SAYINGS.get(kind)
    return (say(context, value) if say else details["msg"]), hint


def _short(bound: float) -> str:
    return str(int(bound) if bound == int(bound) else bound)


_SAYINGS: Final[Mapping[str, Callable[[dict[str, Any], Any], str]]] = {
    "too_short": lambda c, _: f"needs at least {c['min_length']} {'entry' if c['min_length'] == 1 else 'entries'}",
    "too_long": lambda c, _: f"takes at most {c['max_length']} entries, not {c['actual_length']}",
    "string_too_short": lambda *_: "must not be empty",
    "string_too_long": lambda c, _: f"must not be longer than {c['max_length']} characters",
    "greater_than_equal": lambda c, value: f"must be at least {_short(c['ge'])}, not {value}",
    "finite_number": lambda _, value: f"must be a number, not {value}",
    "less_than_equal": lambda c, value: f"must be at most {_short(c['le'])}, not {value}",
    "string_pattern_mismatch": lambda _, value: f"must be a Kubernetes name, not {value!r}",
}
_FIELD_HINTS: Final = {
    ("less_than_equal", "quantity"): "the service counts in 32 bits; a shorter unit needs a smaller quantity",
    **{("greater_than_equal", weight): "0 makes such tokens free; nothing gives tokens back" for weight in _WEIGHTS},
}
_HINTS: Final = {"string_pattern_mismatch": "lower-case letters, digits, '-' and '.'; first and last a letter or digit"}


def _not_among(expected: str, value: Any) -> tuple[str, str]:
    choices = [c.strip().strip("'") for c in expected.replace(" or ", ", ").split(",") if c.strip()]
    shown = " or ".join(filter(None, [", ".join(c or '""' for c in choices[:-1]), choices[-1] or '""']))
    near = difflib.get_close_matches(str(value), choices, n=1, cutoff=0.5) or [
        c for c in choices if c.lower() == str(value).lower()
    ]
    return f"must be {shown}, not {_said(value)}", f"did you mean {near[0]}?" if near else ""


def _said(value: Any) -> str:
    match value:
        case None:
            return "empty"
        case str():
            return f"the string {value!r}"
        case bool():
            return f"the boolean {str(value).lower()}"
        case tuple():
            return "a list"
        case Mapping():
            return "a mapping"
    return f"the number {value}"


def _quoting(kind: str, value: Any) -> str:
    if kind == "string_type" and isinstance(value, bool | int | float):
        return "put it in quotes"
    digits = value.replace(".", "", 1) if kind == "float_type" and isinstance(value, str) else value
    if kind in {"int_type", "float_type"} and isinstance(digits, str) and digits.isdigit():
        return "remove the quotes"
    return ""
