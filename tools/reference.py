"""Writes ``docs/reference.md``: every field of the LLMRoute, from the models that read it.

With ``--check`` it writes nothing, says what is stale, and exits with 1 then. The page stands beside the guide, which
is written by hand: a page that is made as a whole can be compared byte for byte, and nobody edits it by mistake.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from llmroute import names
from llmroute.api.v1alpha1.base import LABEL, SUBDOMAIN
from llmroute.api.v1alpha1.crd import REF, RULES
from llmroute.api.v1alpha1.schema import Schema, definitions
from tools.written import ROOT, main

PAGE: Final = ROOT / "docs" / "reference.md"

HEAD: Final = """\
# Reference: every field of the LLMRoute

Made from the models that read a policy (`generator/llmroute/api/v1alpha1/`) by `make regenerate`; `make generated` says
when it is stale. What the fields do together, with examples, is in the [guide](policy.md). The same as a schema for
editors is [llmroute.schema.json](../manifests/schema/llmroute.schema.json), and `kubectl explain` has it where
[the CRD](../manifests/schema/llmroute.crd.yaml) is applied.

A field that is not here is refused (LR003), and nothing is coerced: `"10"` is no number. What has no default and is not
**required** may be left out.
"""
_PATTERNS: Final = {
    LABEL: "a DNS label",
    SUBDOMAIN: "a DNS subdomain",
    r"^https?://": "begins with `http://` or `https://`",
}
_TYPES: Final = {"string": "text", "integer": "whole number", "number": "decimal", "boolean": "`true` or `false`"}
_DEFAULT: Final = re.compile(r" ?Default: ([^.]*(?:\.[^ ][^.]*)*)\.$")
"""The end of a field's description: all of it up to the last period."""


@dataclass
class Section:
    """One model: where it stands, by paths from the root or from another section's field."""

    model: str
    paths: list[str] = field(default_factory=list)

    @property
    def title(self) -> str:
        """Its path; of a model that stands in several places, its last field."""
        return self.paths[0] if len(self.paths) == 1 else self.paths[0].rpartition(".")[2]


def page() -> str:
    """The whole page."""
    parts = definitions()
    sections = {section.model: section for section in _sections(parts)}
    return "\n".join([HEAD, *("\n".join(_section(s, parts[s.model], sections)) for s in sections.values())])


def default_of(description: str) -> tuple[str, str]:
    """What a field means, and its default as Markdown, empty where it has none."""
    found = _DEFAULT.search(description)
    return (description[: found.start()], found[1]) if found else (description, "")


def _sections(parts: dict[str, Schema]) -> Iterator[Section]:
    """In the order in which a reader of a policy meets them."""
    found: dict[str, Section] = {}
    _meet(names.KIND, "", parts, found)
    yield from found.values()


def _meet(model: str, path: str, parts: dict[str, Schema], found: dict[str, Section]) -> None:
    if model in found:
        found[model].paths.append(path)
        return
    found[model] = Section(model, [path])
    inside = "" if _stands_twice(model, parts) else path
    for name, schema in parts[model]["properties"].items():
        target, marks = _target(schema)
        if target:
            _meet(target, f"{inside or path.rpartition('.')[2]}.{name}{marks}".lstrip("."), parts, found)


def _stands_twice(model: str, parts: dict[str, Schema]) -> bool:
    uses = [_target(schema)[0] for part in parts.values() for schema in part["properties"].values()]
    return uses.count(model) > 1


def _target(schema: Schema) -> tuple[str, str]:
    """The model that a field holds, and ``[]`` where it holds a list of them; empty for plain values."""
    items = schema.get("items", {})
    return (schema.get("$ref") or items.get("$ref", "")).removeprefix(REF), "[]" if "$ref" in items else ""


def _section(section: Section, part: Schema, sections: dict[str, Section]) -> Iterator[str]:
    if section.title:
        yield f"## `{section.title}`\n"
    else:
        yield "## The document\n"
    yield part["description"].replace("``", "`") + "\n"
    if len(section.paths) > 1:
        yield f"Stands at {' and '.join(f'`{path}`' for path in section.paths)}.\n"
    yield "| field | value | default | meaning |"
    yield "|---|---|---|---|"
    required = part.get("required", [])
    for name, schema in part["properties"].items():
        meaning, default = default_of(schema.get("description", ""))
        default = "**required**" if name in required else default
        yield f"| `{name}` | {_value(schema, sections)} | {default} | {meaning} |"
    yield ""
    rules = RULES.get(section.model, ())
    if rules:
        yield "What is refused besides, in the words of an API server that has the CRD:\n"
        yield "\n".join(f"- {message}" for _, message in rules) + "\n"


def _value(schema: Schema, sections: dict[str, Section]) -> str:
    """Type and constraints, in words."""
    target, listed = _target(schema)
    if target and not listed:
        return _link(sections[target])
    if "items" in schema:
        item = _link(sections[target]) if listed else _value(schema["items"], sections)
        return f"list of {item}{_range(schema, 'Items', '')}"
    choices = schema.get("enum") or ([schema["const"]] if "const" in schema else [])
    if choices:
        return ", ".join(f"`{choice}`" if choice else "empty" for choice in choices)
    if "type" not in schema:
        return "anything"
    words = _TYPES[schema["type"]] + _range(schema, "Length", " characters") + _range(schema, "imum", "")
    pattern = schema.get("pattern")
    return f"{words}, {_PATTERNS[pattern]}" if pattern else words


def _link(section: Section) -> str:
    """By the last field of its path, to the anchor that code hosts and the site give its heading."""
    anchor = re.sub(r"[^\w-]", "", section.title.lower())
    return f"[`{section.title.rpartition('.')[2]}`](#{anchor})"


def _range(schema: Schema, of: str, unit: str) -> str:
    """Between two bounds of a schema, ``minItems`` and ``maxItems`` for instance."""
    least, most = (schema.get(f"{end}{of}") for end in ("min", "max"))
    if most is None:
        return "" if least is None else f", at least {least:,}{unit}"
    return f", up to {most:,}{unit}" if not least and of != "imum" else f", {least:,} to {most:,}{unit}"


def outputs() -> dict[Path, str]:
    """The file and its text."""
    return {PAGE: page()}


if __name__ == "__main__":
    sys.exit(main(outputs()))
