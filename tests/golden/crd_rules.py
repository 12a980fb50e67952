"""The CEL rules of a CRD (``x-kubernetes-validations``), evaluated at their place with ``self`` bound.

As in the API server: a field is bound under an escaped name where CEL reserves its own, fields that the CRD
does not know are not bound, numbers of type ``number`` are doubles. Rules about a change (``oldSelf``) do
not apply to a document on its own.
"""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any, Final

import cel
from cel.stdlib import add_stdlib_to_context

from llmroute.diagnostic import FieldPath, field_name
from tests.golden.crd_schema import Schema, children

_RESERVED: Final = frozenset(
    [
        "as",
        "break",
        "const",
        "continue",
        "else",
        "false",
        "for",
        "function",
        "if",
        "import",
        "in",
        "let",
        "loop",
        "namespace",
        "null",
        "package",
        "return",
        "true",
        "var",
        "void",
        "while",
    ]
)
_NATIVE: Final = frozenset({"contains", "duration", "endsWith", "matches", "size", "startsWith"})
"""What the library has of its own, of all that the rules call; ``_context`` adds the rest."""
_ESCAPES: Final = (("__", "__underscores__"), (".", "__dot__"), ("-", "__dash__"), ("/", "__slash__"))


def broken_rules(value: Any, schema: Schema, path: FieldPath = ()) -> Iterator[str]:
    """A message for each rule that does not hold or cannot be evaluated, at ``value`` and within it."""
    if value is None:
        return
    rules = [rule for rule in schema.get("x-kubernetes-validations", ()) if not is_transition(rule)]
    if rules:
        bound = bind(value, schema)
        where = field_name(path) or "(root)"
        yield from (f"{where}: {fault}" for rule in rules if (fault := _fault(rule, bound)))
    for key, item, known in children(value, schema):
        if known is not None:
            yield from broken_rules(item, known, (*path, key))


def is_transition(rule: Mapping[str, str]) -> bool:
    """Whether a rule compares with the object before the change."""
    return "oldSelf" in program(rule["rule"]).variables()


def unknown_functions(rule: Mapping[str, str]) -> set[str]:
    """The functions of a rule that could not be called."""
    called = {name for name in program(rule["rule"]).functions() if name[0].isalpha()}
    return called - _NATIVE - set(_context().functions)


def rules_of(schema: Schema) -> Iterator[Mapping[str, str]]:
    """Every rule of a schema, once for each place it stands at.

    Raises:
        ValueError: a rule stands where ``broken_rules`` would not see it.
    """
    yield from schema.get("x-kubernetes-validations", ())
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), Mapping):
            yield from rules_of(schema[key])
    for item in schema.get("properties", {}).values():
        yield from rules_of(item)
    for key in ("allOf", "anyOf", "oneOf", "not"):
        if "x-kubernetes-validations" in str(schema.get(key, "")):
            raise ValueError(f"a CEL rule within {key}")


@functools.cache
def program(rule: str) -> Any:
    """A rule, compiled.

    Raises:
        ValueError: it is no CEL.
    """
    return cel.compile(rule)


def bind(value: Any, schema: Schema) -> Any:
    """``value`` as ``self`` has it."""
    if isinstance(value, Mapping):
        properties = schema.get("properties", {})
        return {
            _escaped(str(key)) if key in properties else str(key): bind(item, known)
            for key, item, known in children(value, schema)
            if known is not None
        }
    if isinstance(value, list):
        return [bind(item, schema.get("items", {})) for item in value]
    return float(value) if schema.get("type") == "number" and isinstance(value, int) else value


def _escaped(name: str) -> str:
    """A property's name in CEL: as the API server escapes them."""
    if name in _RESERVED:
        return f"__{name}__"
    for text, escape in _ESCAPES:
        name = name.replace(text, escape)
    return name


@functools.cache
def _context() -> Any:
    """CEL with the functions that Kubernetes adds; ``self`` is set anew for each rule."""
    context = cel.Context()
    add_stdlib_to_context(context)
    context.add_function("isIP", _is_ip)
    return context


def _is_ip(text: str) -> bool:
    """Kubernetes' ``isIP``: an address without a zone, and no IPv4 one in IPv6's clothes."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text and getattr(address, "ipv4_mapped", None) is None


def _fault(rule: Mapping[str, str], bound: Any) -> str | None:
    """What is wrong with ``bound`` by a rule, or None."""
    context = _context()
    context.add_variable("self", bound)
    try:
        holds = program(rule["rule"]).execute(context)
    except (ValueError, RuntimeError, TypeError, LookupError) as error:
        return f"the rule cannot be evaluated: {error}: {rule['rule']}"
    if holds is True:
        return None
    if holds is False:
        return rule["message"]
    return f"the rule gives {holds!r}, no boolean: {rule['rule']}"
