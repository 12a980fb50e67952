"""Header selectors: names that Envoy can match, values where their type wants one, RE2."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import re2

from llmroute import codes, names
from llmroute.diagnostic import Diagnostic
from llmroute.plan import Match, Plan, Selector
from llmroute.targets import Capabilities

_TOKEN: Final = re.compile(r"[!#$%&'*+.^`|~0-9A-Za-z-]+")
"""A field name of RFC 9110, less the underscore: Envoy rejects requests with such headers."""


def check(plan: Plan, target: Capabilities) -> Iterator[Diagnostic]:
    """Every selector once, and the number of them on a rule."""
    for route in plan.routes:
        seen: set[Selector] = set()
        for _, limit in route.limits():
            if len(limit.selectors) > target.max_selectors and limit.selectors[0] not in seen:
                message = f"a rule takes at most {target.max_selectors} headers, not {len(limit.selectors)}"
                yield Diagnostic(codes.TOO_MANY, limit.selectors[target.max_selectors].origin, message)
            for selector in limit.selectors:
                if selector not in seen:  # the limits of one rule share its selectors
                    seen.add(selector)
                    yield from _name(selector)
                    yield from _value(selector)


def _name(selector: Selector) -> Iterator[Diagnostic]:
    header = selector.header
    if not _TOKEN.fullmatch(header):
        why = "Envoy rejects requests with underscores in header names" if "_" in header else "no header name"
        hint = f"use {header.replace('_', '-')}" if "_" in header else "letters, digits and '-'"
        yield Diagnostic(codes.BAD_HEADER, selector.origin, f"{header!r} cannot be matched: {why}", hint)
    elif header == names.BACKEND_HEADER:
        message = f"a rule cannot select on {header}: it belongs to its backend already"
        yield Diagnostic(codes.BAD_HEADER, selector.origin, message, "put the rule under that backend")


def _value(selector: Selector) -> Iterator[Diagnostic]:
    match, value = selector.match, selector.value
    if match is Match.DISTINCT:
        if value is not None:
            message = f"a Distinct match on {selector.header} takes every value and must not name one"
            yield Diagnostic(codes.DISTINCT_VALUE, selector.origin, message, "remove value, or say type: Exact")
    elif not value:
        message = f"the {match.value} match on {selector.header} needs a value"
        yield Diagnostic(codes.MATCH_VALUE, selector.origin, message, "add value, or say type: Distinct")
    elif match is Match.REGEX:
        options = re2.Options()
        options.log_errors = False
        try:
            re2.compile(value, options)
        except re2.error as error:
            reason = error.args[0] if error.args else ""
            reason = reason.decode() if isinstance(reason, bytes) else reason
            message = f"{value!r} is not an RE2 regular expression: {reason}"
            hint = "RE2 has no look-around and no back-references"
            yield Diagnostic(codes.BAD_REGEX, selector.origin, message, hint)
    elif any(ord(c) < 0x20 or ord(c) == 0x7F for c in value) or value != value.strip():
        message = f"no header can have the value {value!r}"
        yield Diagnostic(codes.WRONG_VALUE, selector.origin, message, "no control characters or outer spaces")
