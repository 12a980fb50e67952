"""The compiler in one function: source, api, lower, check, emit; and the whole judgement of a policy in another."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from llmroute import codes, names, source
from llmroute.api.v1alpha1 import Parsed, parse
from llmroute.check import check
from llmroute.check.allowed import Allowance, Allowed, allowances, divide, idle, unexplained
from llmroute.check.counters import moved
from llmroute.check.lint import lint
from llmroute.diagnostic import Diagnostic, Origin, has_errors
from llmroute.emit import Artifact, EnvoyOptions, emit
from llmroute.lower import StandIns, lower
from llmroute.plan import Plan
from llmroute.settlement import carried_out
from llmroute.source import Document
from llmroute.targets import TARGETS, Capabilities, capabilities


@dataclass(frozen=True, slots=True)
class Compiled:
    """``artifacts`` is empty when any finding is an error. ``plan`` holds the routes that could be read.

    ``allowed`` are the findings that a comment allows; ``diagnostics`` are the others.
    """

    plan: Plan
    artifacts: tuple[Artifact, ...]
    diagnostics: tuple[Diagnostic, ...]
    allowed: tuple[Allowed, ...] = ()


@dataclass(frozen=True, slots=True)
class _Read:
    """What the input says, before anybody asks for a target. ``findings`` are about that alone."""

    plan: Plan
    documents: tuple[Document, ...]
    comments: tuple[Allowance, ...]
    findings: tuple[Diagnostic, ...]


def compile_policies(
    texts: Iterable[tuple[str, str]],
    target: Capabilities,
    *,
    stand_ins: StandIns | None = None,
    options: EnvoyOptions | None = None,
) -> Compiled:
    """Compile ``(file name, text)`` pairs, read as one stream, for ``target``."""
    read = _read(texts, stand_ins)
    findings, allowed = divide((*read.findings, *check(read.plan, target, read.documents)), read.comments)
    artifacts = () if has_errors(findings) else emit(carried_out(read.plan, target), read.documents, target, options)
    return Compiled(read.plan, artifacts, findings, allowed)


def judge_policies(texts: Iterable[tuple[str, str]], target: Capabilities, *, against: Plan | None = None) -> Compiled:
    """Say everything about ``(file name, text)`` pairs, and write nothing: ``artifacts`` is empty.

    Beside what ``compile_policies`` says: what is likely not meant, comments that allow nothing, and what becomes of
    live counters when the policy takes the place of ``against``. Of a policy with errors nothing of all that.
    """
    read = _read(texts, None)
    found = [*read.findings, *check(read.plan, target, read.documents)]
    if has_errors(found):
        findings, allowed = divide(found, read.comments)
        return Compiled(read.plan, (), (*findings, *unexplained(read.comments)), allowed)
    more = [*lint(read.plan), *(moved(against, read.plan, target) if against else ())]
    # Findings of other targets may be allowed as well: the next call may be for one of them.
    targets = TARGETS if read.comments else ()
    elsewhere = [d for name in targets for d in check(read.plan, capabilities(name), read.documents)]
    of_edits = () if against else (codes.COUNTER_HANDED_OVER.id, codes.COUNTER_LOST.id)
    said = [dataclasses.replace(c, codes=tuple(i for i in c.codes if i not in of_edits)) for c in read.comments]
    about_comments = [*unexplained(read.comments), *idle(said, [*found, *more, *elsewhere])]
    findings, allowed = divide([*found, *more], read.comments)
    order = {file: place for place, file in enumerate(dict.fromkeys(d.origin.file for d in findings))}
    ordered = sorted(
        (*findings, *about_comments),
        key=lambda d: (order.get(d.origin.file, len(order)), d.origin.line, d.origin.column),
    )
    return Compiled(read.plan, (), tuple(ordered), allowed)


def _read(texts: Iterable[tuple[str, str]], stand_ins: StandIns | None) -> _Read:
    inputs = list(texts)
    streams = [source.read(text, file) for file, text in inputs]
    documents = source.documents_of(streams)
    findings = [finding for stream in streams for finding in stream.diagnostics]
    plan = lower(list(_parse_all(documents, findings)), documents, stand_ins)
    if not findings and not plan.routes:
        findings.append(_no_route(", ".join(file for file, _ in inputs)))
    comments = tuple(comment for file, text in inputs for comment in allowances(text, file))
    return _Read(plan, tuple(documents), comments, tuple(findings))


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
