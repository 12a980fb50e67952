"""Reads a YAML stream into documents that remember where every value stands.

Scalars are read as the Kubernetes tools read them. A key that stands twice in a mapping is
refused, in every document. The text of each document is kept, so that kinds which are none of
our business leave as they came.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import yaml

from llmroute import codes
from llmroute.diagnostic import Diagnostic, FieldPath, Origin, field_name
from llmroute.render.scalars import resolve

_PLAIN: Final = "plain"
"""The tag of a scalar that is neither quoted nor tagged: ``resolve`` says what it is."""

_FastLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_FastLoader):  # type: ignore[misc]  # libyaml's where there is one
    def resolve(self, kind: type[yaml.Node], value: str | None, implicit: Any) -> str:
        """Leave plain scalars to ``scalars.resolve``; PyYAML's own idea of them is not Kubernetes'."""
        if kind is yaml.ScalarNode and implicit[0]:
            return _PLAIN
        return str(super().resolve(kind, value, implicit))


_MAX_VALUES: Final = 1_000_000
"""Values in one document. Aliases of aliases could otherwise grow a short file without bound."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Positions of a mapping's key (None for a sequence's item) and of its value, as (line, column) from 0."""

    key: tuple[int, int] | None
    value: tuple[int, int]


@dataclass(frozen=True)
class Document:
    """One document of a stream.

    ``text`` is what stood between the markers, without them. ``value`` is plain data.
    """

    file: str
    text: str
    value: Any
    places: Mapping[FieldPath, _Place]

    def origin(self, path: FieldPath = (), *, of_key: bool = False) -> Origin:
        """Where the value (or its key) at ``path`` stands; the nearest parent that exists, if it does not."""
        known = path
        while known and known not in self.places:
            known = known[:-1]
        place = self.places[known]
        line, column = (of_key and known == path and place.key) or place.value
        return Origin(self.file, line + 1, column + 1, path)

    @cached_property
    def kind(self) -> tuple[str, str]:
        """``(apiVersion, kind)``; empty strings where they are missing or no strings."""
        value = self.value if isinstance(self.value, Mapping) else {}
        found = [value.get("apiVersion"), value.get("kind")]
        version, kind = (v if isinstance(v, str) else "" for v in found)
        return version, kind

    @cached_property
    def name(self) -> tuple[str | None, str | None]:
        """``(namespace, name)`` of the object's metadata; None where it is missing or no string."""
        value = self.value if isinstance(self.value, Mapping) else {}
        metadata = value.get("metadata")
        metadata = metadata if isinstance(metadata, Mapping) else {}
        found = [metadata.get("namespace"), metadata.get("name")]
        namespace, name = (v if isinstance(v, str) else None for v in found)
        return namespace, name


@dataclass(frozen=True, slots=True)
class Stream:
    """What was read of one file: its documents, and what is wrong with it as YAML."""

    documents: tuple[Document, ...]
    diagnostics: tuple[Diagnostic, ...]


def read(text: str, file: str) -> Stream:
    """Parse ``text``; ``file`` is the name to say in findings. Never raises for bad input."""
    text = text.removeprefix("\ufeff")
    findings: list[Diagnostic] = []
    documents: list[Document] = []
    try:
        nodes = list(yaml.compose_all(text, Loader=_Loader))
        slices = list(_slices(text))
    except yaml.YAMLError as error:
        return Stream((), (_not_yaml(error, file),))
    except RecursionError:
        message = "the document is nested too deeply to be read"
        return Stream((), (Diagnostic(codes.NOT_YAML, Origin(file), message),))
    for node, part in zip(nodes, slices, strict=True):
        reader = _Reader(file)
        try:
            value = reader.construct(node, ())
        except _UnreadableError as error:
            findings.append(Diagnostic(codes.NOT_YAML, error.origin, str(error)))
            continue
        findings += reader.findings
        if value is not None:
            documents.append(Document(file, part, value, reader.places))
    return Stream(tuple(documents), tuple(findings))


def _not_yaml(error: yaml.YAMLError, file: str) -> Diagnostic:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    origin = Origin(file, mark.line + 1, mark.column + 1) if mark else Origin(file)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    context = getattr(error, "context", None)
    message = f"not YAML: {problem}" + (f" ({context})" if context else "")
    hint = "indent with spaces" if "\\t" in message or "character that cannot start" in message else ""
    return Diagnostic(codes.NOT_YAML, origin, message, hint)


def _slices(text: str) -> Iterator[str]:
    """The text of each document, without ``---`` and ``...``.

    Line and column are the marks' safe part: the C parser counts its index in bytes.
    """
    lines = text.splitlines(keepends=True)

    def cut(start: tuple[int, int], end: tuple[int, int]) -> str:
        first, last = start[0], end[0]
        part = [*lines[first:last], (lines[last][: end[1]] if last < len(lines) else "")]
        part[0] = part[0][start[1] :]
        # Blank lines at the end may belong to a literal block that keeps them.
        cut_out = "".join(part).removeprefix(" ").removeprefix("\n")
        return cut_out if cut_out.endswith("\n") else cut_out + "\n"

    start: tuple[int, int] | None = None
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.DocumentStartEvent):
            mark = event.end_mark if event.explicit else None
            # An implicit start has no marker: keep the comments above the first key too.
            start = (mark.line, mark.column) if mark else (0, 0)
        elif isinstance(event, yaml.DocumentEndEvent) and start is not None and event.start_mark:
            yield cut(start, (event.start_mark.line, event.start_mark.column))


class _UnreadableError(Exception):
    def __init__(self, message: str, origin: Origin) -> None:
        super().__init__(message)
        self.origin = origin


class _Reader:
    """Turns one document's nodes into plain data, and notes the places."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.places: dict[FieldPath, _Place] = {}
        self.findings: list[Diagnostic] = []
        self._open: set[int] = set()

    def construct(self, node: yaml.Node | None, path: FieldPath, key: tuple[int, int] | None = None) -> Any:
        if node is None:
            return None
        where = (node.start_mark.line, node.start_mark.column)
        self.places[path] = _Place(key, where)
        if len(self.places) > _MAX_VALUES or id(node) in self._open:
            raise _UnreadableError("the aliases of this document have no end", self._origin(where, path))
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        self._open.add(id(node))
        value = self._mapping(node, path) if isinstance(node, yaml.MappingNode) else self._sequence(node, path)
        self._open.discard(id(node))
        return value

    def _origin(self, where: tuple[int, int], path: FieldPath) -> Origin:
        return Origin(self.file, where[0] + 1, where[1] + 1, path)

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        return resolve(node.value) if node.tag == _PLAIN else node.value

    def _sequence(self, node: yaml.Node, path: FieldPath) -> list[Any]:
        return [self.construct(item, (*path, index)) for index, item in enumerate(node.value)]

    def _mapping(self, node: yaml.MappingNode, path: FieldPath) -> dict[Any, Any]:
        value: dict[Any, Any] = {}
        for key_node, item in node.value:
            where = (key_node.start_mark.line, key_node.start_mark.column)
            if not isinstance(key_node, yaml.ScalarNode):
                raise _UnreadableError("a mapping's key must be a plain value", self._origin(where, path))
            # JSON, and so Kubernetes, knows string keys only.
            key = key_node.value
            inside = (*path, key)
            if key in value:
                message = f"the key {field_name(inside)} stands twice"
                first = self.places[inside].key
                hint = f"the first is in line {first[0] + 1}; keep one" if first else ""
                self.findings.append(Diagnostic(codes.DUPLICATE_KEY, self._origin(where, inside), message, hint))
                continue
            value[key] = self.construct(item, inside, where)
        return value


def documents_of(streams: Iterable[Stream]) -> list[Document]:
    """All documents of several files, in order."""
    return [document for stream in streams for document in stream.documents]
