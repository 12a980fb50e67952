"""The compiler in one function: source, api, lower, check, emit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from llmroute import codes, names, source
from llmroute.api.v1alpha1 import Parsed, parse
from llmroute.check import check
from llmroute.diagnostic import Diagnostic, Origin, has_errors
from llmroute.emit import Artifact, EnvoyOptions, emit
from llmroute.lower import StandIns, lower
from llmroute.plan import Plan
from llmroute.settlement import carried_out
from llmroute.source import Document
from llmroute.targets import Capabilities


@dataclass(frozen=True, slots=True)
class Compiled:
    """``artifacts`` is empty when any finding is an error. ``plan`` holds the routes that could be read."""

    plan: Plan
    artifacts: tuple[Artifact, ...]
    diagnostics: tuple[Diagnostic, ...]


def compile_policies(
    texts: Iterable[tuple[str, str]],
    target: Capabilities,
    *,
    stand_ins: StandIns | None = None,
    options: EnvoyOptions | None = None,
) -> Compiled:
    """Compile ``(file name, text)`` pairs, read as one stream, for ``target``."""
    inputs = list(texts)
    streams = [source.read(text, file) for file, text in inputs]
    documents = source.documents_of(streams)
    findings = [finding for stream in streams for finding in stream.diagnostics]
    parsed = list(_parse_all(documents, findings))
    plan = lower(parsed, documents, stand_ins)
    findings += check(plan, target, documents)
    if not findings and not plan.routes:
        findings.append(_no_route(", ".join(file for file, _ in inputs)))
    artifacts = () if has_errors(findings) else emit(carried_out(plan, target), documents, target.target, options)
    return Compiled(plan, artifacts, tuple(findings))


def _hidden_in(document: Document) -> Iterable[Diagnostic]:
    """LLMRoutes that would pass through untouched, as items of a ``List``."""
    items = document.value.get("items") if isinstance(document.value, dict) else None
    for index, item in enumerate(items if isinstance(items, list) else []):
        if isinstance(item, dict) and item.get("kind") == names.KIND:
            message = "an LLMRoute inside a List is not read"
            hint = "give it as a document of its own"
            yield Diagnostic(codes.IN_A_LIST, document.origin(("items", index)), message, hint)


def _no_route(file: str) -> Diagnostic:
    hint = f"a document with apiVersion: {names.API_VERSION} and kind: {names.KIND} is needed"
    return Diagnostic(codes.NO_LLMROUTE, Origin(file), "there is no LLMRoute to compile", hint)


def _parse_all(documents: Sequence[Document], findings: list[Diagnostic]) -> Iterable[Parsed]:
    for document in documents:
        version, kind = document.kind
        if kind != names.KIND:
            findings.extend(_hidden_in(document))
            continue
        if version != names.API_VERSION:
            message = f"an LLMRoute of apiVersion {version or 'unknown'} cannot be read"
            origin = document.origin(("apiVersion",))
            findings.append(Diagnostic(codes.UNKNOWN_API, origin, message, f"use {names.API_VERSION}"))
            continue
        result = parse(document)
        if isinstance(result, Parsed):
            findings.extend(result.findings)
            yield result
        else:
            findings.extend(result)
