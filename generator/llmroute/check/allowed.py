"""Findings that a comment allows: ``# llmroute: allow LR024 because nobody sends other models``.

It speaks of the line that it ends, or, on a line of its own, of the next one with anything on it. Errors cannot be
allowed: there would be nothing to write.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import yaml

from llmroute import codes
from llmroute.diagnostic import Diagnostic, Origin, Severity

_COMMENT: Final = re.compile(r"(?:^|(?<=\s))#\s*llmroute:\s*allow\b(?P<rest>.*)$")
_WELL_SAID: Final = re.compile(r"\s+(?P<codes>LR\d{3}(?:\s*,\s*LR\d{3})*)\s+because\s+(?P<reason>\S.*?)\s*")
_OWN_LINE: Final = re.compile(r"\s*(?:#.*)?")
"""Nothing on it that a finding could be about."""
_FORM: Final = "# llmroute: allow LR024 because …"


@dataclass(frozen=True, slots=True)
class Allowance:
    """A comment. ``line`` is the one that it speaks of; without ``codes`` and a ``reason`` it allows nothing."""

    origin: Origin
    line: int
    codes: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Allowed:
    """A finding that somebody knows of and wants to live with."""

    diagnostic: Diagnostic
    reason: str


def allowances(text: str, file: str) -> tuple[Allowance, ...]:
    """Every such comment of a YAML stream, in order."""
    lines = text.removeprefix("\ufeff").splitlines()
    found = [(number, match) for number, line in enumerate(lines, 1) if (match := _COMMENT.search(line))]
    texts = _scalars(text) if found else []
    return tuple(
        _allowance(match, file, number, lines)
        for number, match in found
        if not any(begin <= (number, match.start()) < end for begin, end in texts)
    )


def _scalars(text: str) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Where values stand, in which a ``#`` is no comment: (line from 1, column from 0) of begin and end."""
    try:
        tokens = [token for token in yaml.scan(text) if isinstance(token, yaml.ScalarToken)]
    except yaml.YAMLError:
        return [((0, 0), (len(text) + 1, 0))]  # of such a text nothing is read
    marks = ((token.start_mark, token.end_mark) for token in tokens)
    return [((begin.line + 1, begin.column), (end.line + 1, end.column)) for begin, end in marks]


def _allowance(match: re.Match[str], file: str, number: int, lines: list[str]) -> Allowance:
    covered = number
    if not lines[number - 1][: match.start()].strip():
        following = (n for n, line in enumerate(lines[number:], number + 1) if not _OWN_LINE.fullmatch(line))
        covered = next(following, number)
    said = _WELL_SAID.fullmatch(match["rest"])
    ids = tuple(re.split(r"\s*,\s*", said["codes"])) if said else ()
    return Allowance(Origin(file, number, match.start() + 1), covered, ids, said["reason"] if said else "")


def divide(
    findings: Iterable[Diagnostic], known: Collection[Allowance]
) -> tuple[tuple[Diagnostic, ...], tuple[Allowed, ...]]:
    """The findings that remain, and those that a comment allows."""
    kept: list[Diagnostic] = []
    allowed: list[Allowed] = []
    for finding in findings:
        reason = next((one.reason for one in known if _speaks_of(one, finding)), None)
        if reason is None:
            kept.append(finding)
        else:
            allowed.append(Allowed(finding, reason))
    return tuple(kept), tuple(allowed)


def _speaks_of(allowance: Allowance, finding: Diagnostic) -> bool:
    place = (finding.origin.file, finding.origin.line)
    named = finding.code.id in allowance.codes and finding.severity is not Severity.ERROR
    return named and place == (allowance.origin.file, allowance.line)


def unexplained(known: Iterable[Allowance]) -> Iterator[Diagnostic]:
    """Comments that do not say what they allow and why."""
    for one in known:
        if not one.codes:
            message = f"this allows nothing: it has to say what and why, as in {_FORM}"
            hint = "name the codes, then because, then the reason"
            yield Diagnostic(codes.ALLOWED_WITHOUT_REASON, one.origin, message, hint, Severity.WARNING)


def idle(known: Iterable[Allowance], findings: Collection[Diagnostic]) -> Iterator[Diagnostic]:
    """Comments that allow what is not among ``findings``."""
    for one in known:
        for code in one.codes:
            if not any(finding.code.id == code and _speaks_of(one, finding) for finding in findings):
                message = f"line {one.line} has no {code} that could be allowed"
                yield Diagnostic(codes.ALLOWED_NOTHING, one.origin, message, "remove it", Severity.WARNING)
