"""A KRM function: a ResourceList in, and the same with its LLMRoutes carried out, as kustomize and kpt call it.

What is made of an LLMRoute takes its place. With the annotation ``config.kubernetes.io/local-config: "true"`` the
LLMRoute stays before it, as the source in a package that is written back; what an earlier run made of it is made
anew. All other items keep their text, comments included.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from llmroute import names, source
from llmroute.diagnostic import Diagnostic, field_name, has_errors
from llmroute.pipeline import compile_policies
from llmroute.render.yaml import dump
from llmroute.source import Document
from llmroute.targets import EG_VERSIONS, ENVOY_GATEWAY, capabilities

RESOURCE_LIST: Final = "ResourceList"
LOCAL: Final = "config.kubernetes.io/local-config"
_BOOKS: Final = (
    "config.k8s.io/",
    "config.kubernetes.io/",
    "internal.config.kubernetes.io/",
    "kustomize.config.k8s.io/",
)
"""Of annotations that the tools keep their books with: they are no part of a policy, nor of its hash."""
_OPTION: Final = "egVersion"

_Key = tuple[str, str, str, str]
"""apiVersion, kind, namespace and name."""


class NoResourceList(ValueError):  # noqa: N818 a state of the input
    """The input cannot be carried out; the message is one line for the user."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """``text`` is the ResourceList to print, with its results; ``said`` are these as lines."""

    text: str
    said: tuple[str, ...]
    failed: bool


@dataclass(frozen=True, slots=True)
class _Item:
    text: str
    value: Any

    @property
    def metadata(self) -> Mapping[str, Any]:
        metadata = self.value.get("metadata") if isinstance(self.value, Mapping) else None
        return metadata if isinstance(metadata, Mapping) else {}

    @property
    def annotations(self) -> Mapping[str, Any]:
        annotations = self.metadata.get("annotations")
        return annotations if isinstance(annotations, Mapping) else {}

    @property
    def key(self) -> _Key:
        value = self.value if isinstance(self.value, Mapping) else {}
        head = str(value.get("apiVersion", "")), str(value.get("kind", ""))
        return *head, str(self.metadata.get("namespace", "")), str(self.metadata.get("name", ""))

    @property
    def is_route(self) -> bool:
        return self.key[1] == names.KIND

    @property
    def title(self) -> str:
        """``LLMRoute namespace/name``."""
        _, kind, namespace, name = self.key
        return f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"


def carry_out(text: str) -> Outcome:
    """Carry out a ResourceList.

    Raises:
        NoResourceList: ``text`` is none, or its functionConfig has an option that there is not.
    """
    document = _document(text)
    version = _version(document.value.get("functionConfig"))
    items = _items(document)
    routes = [item for item in items if item.is_route]
    if not routes:
        return _outcome(document, items, [], routes)
    owned = {item.key[2:] for item in routes}
    earlier = {item.key: item for item in items if _is_ours(item) and item.key[2:] in owned}
    compiled = compile_policies(
        [_input(item) for item in items if item.key not in earlier], capabilities(ENVOY_GATEWAY, version)
    )
    if has_errors(compiled.diagnostics):
        return _outcome(document, items, compiled.diagnostics, routes)
    made = source.read(compiled.artifacts[0].text, names.KIND).documents
    return _outcome(document, _in_place(made, routes, earlier), compiled.diagnostics, routes)


def _document(text: str) -> Document:
    stream = source.read(text, "<stdin>")
    if stream.diagnostics:
        raise NoResourceList(str(stream.diagnostics[0]))
    if len(stream.documents) != 1 or stream.documents[0].kind[1] != RESOURCE_LIST:
        raise NoResourceList(f"<stdin> is not one {RESOURCE_LIST}: kustomize or kpt gives it to a KRM function")
    if not isinstance(stream.documents[0].value.get("items") or [], list):
        raise NoResourceList("items is not a list")
    return stream.documents[0]


def _version(config: Any) -> str:
    """What ``data`` (of a ConfigMap) or ``spec`` of the functionConfig says."""
    config = config if isinstance(config, Mapping) else {}
    options = config.get("data") or config.get("spec") or {}
    if not isinstance(options, Mapping) or set(options) - {_OPTION}:
        raise NoResourceList(f"functionConfig knows one option, {_OPTION}, in data or spec")
    version = str(options.get(_OPTION, EG_VERSIONS[-1]))
    if version not in EG_VERSIONS:
        raise NoResourceList(f"functionConfig: {_OPTION} is one of {', '.join(EG_VERSIONS)}, not {version}")
    return version


def _items(document: Document) -> list[_Item]:
    """Each item with its own text, where the list is written line by line; else with one that says the same."""
    values = document.value.get("items") or []
    slices = _slices(document)
    texts = slices if len(slices) == len(values) else [dump(value) for value in values]
    return [_Item(text, value) for text, value in zip(texts, values, strict=True)]


def _slices(document: Document) -> list[str]:
    """What stands at each dash of ``items``: the lines below it are further in than it is."""
    lines = document.text.splitlines()
    places = sorted(document.origin((key,), of_key=True).line for key in document.value)
    first = document.origin(("items",), of_key=True).line
    end = next((place - 1 for place in places if place > first), len(lines))
    found: list[list[str]] = []
    dash = -1
    above: list[str] = []
    for line in lines[first:end]:
        bare = line.lstrip()
        indent = len(line) - len(bare)
        if (bare.startswith("- ") or bare == "-") and dash in {-1, indent}:
            dash = indent
            found.append([*above, bare[2:]])
            above = []
        elif indent <= dash and bare.startswith("#"):
            above.append(bare)  # on top of the next item
        elif found:
            found[-1] += [line[dash + 2 :]]
    return ["\n".join(part) + "\n" for part in found]


def _input(item: _Item) -> tuple[str, str]:
    """An item as a file of the compiler. Of an LLMRoute without the tools' books, and called by its title."""
    if not item.is_route:
        return str(item.annotations.get("config.kubernetes.io/path", "<stdin>")), item.text
    policy = {key: value for key, value in item.annotations.items() if not str(key).startswith(_BOOKS)}
    metadata = {key: value for key, value in item.metadata.items() if key != "annotations"}
    if policy:
        metadata["annotations"] = policy
    return f"<{item.title}>", dump(dict(item.value) | ({"metadata": metadata} if metadata else {}))


def _is_ours(item: _Item) -> bool:
    labels = item.metadata.get("labels")
    managed = isinstance(labels, Mapping) and labels.get(names.MANAGED_BY_LABEL) == names.MANAGED_BY
    return managed and names.HASH_ANNOTATION in item.annotations


def _in_place(made: Iterable[Document], routes: Sequence[_Item], earlier: Mapping[_Key, _Item]) -> list[_Item]:
    """What was made, each LLMRoute that stays before its own, and books where an earlier run's object had them."""
    staying = {item.key[2:]: item for item in routes if str(item.annotations.get(LOCAL)).lower() == "true"}
    items: list[_Item] = []
    for document in made:
        item = _Item(document.text, document.value)
        if _is_ours(item) and (route := staying.pop(item.key[2:], None)):
            items.append(route)
        books = (
            {k: v for k, v in earlier[item.key].annotations.items() if k.startswith(_BOOKS)}
            if item.key in earlier
            else {}
        )
        items.append(_Item(_with_annotations(item.text, books), item.value))
    return items


def _with_annotations(text: str, more: Mapping[str, Any]) -> str:
    """The text of an object of ours, which has annotations, with more of them."""
    head = "\n  annotations:\n"
    lines = "".join(f"    {line}\n" for line in dump(dict(more)).splitlines()) if more else ""
    return text.replace(head, head + lines, 1)


def _outcome(
    document: Document, items: Sequence[_Item], findings: Sequence[Diagnostic], routes: Sequence[_Item]
) -> Outcome:
    head = {key: document.value[key] for key in ("apiVersion", "kind")}
    lines = ["items:", *(line for item in items for line in _listed(item.text))] if items else ["items: []"]
    rest = {"functionConfig": document.value["functionConfig"]} if document.value.get("functionConfig") else {}
    results = [_result(finding, routes) for finding in findings]
    rest |= {"results": results} if results else {}
    text = dump(head) + "\n".join(lines) + "\n" + (dump(rest) if rest else "")
    said = tuple(f"{r['file']['path']}: {r['severity']} {r['message']}" for r in results)
    return Outcome(text, said, has_errors(findings))


def _listed(text: str) -> Iterator[str]:
    """A document's lines as an item of a list. A comment on top stands behind the dash, as the tools write it."""
    first, *rest = text.removesuffix("\n").split("\n")
    yield f"- {first}".rstrip()
    yield from (f"  {line}" if line else "" for line in rest)


def _result(finding: Diagnostic, routes: Sequence[_Item]) -> dict[str, Any]:
    hint = f" (hint: {finding.hint})" if finding.hint else ""
    made: dict[str, Any] = {
        "message": f"{finding.code.id}: {finding.message}{hint}",
        "severity": finding.severity.value,
        "file": {"path": finding.origin.file},
    }
    if finding.origin.path:
        made["field"] = {"path": field_name(finding.origin.path)}
    route = next((item for item in routes if f"<{item.title}>" == finding.origin.file), None)
    if route:
        version, kind, namespace, name = route.key
        made["resourceRef"] = {"apiVersion": version, "kind": kind, "namespace": namespace, "name": name}
        made["file"] = {"path": str(route.annotations.get("config.kubernetes.io/path", route.title))}
    return made
