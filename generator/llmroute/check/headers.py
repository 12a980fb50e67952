"""Header selectors: names that Envoy can match, values where their type wants one, RE2."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

import re2

from llmroute import codes, names
from llmroute.diagnostic import Diagnostic
from llmroute.matching import expression
from llmroute.plan import Match, Plan, Selector
from llmroute.settlement import prepays
from llmroute.targets import Capabilities

_TOKEN: Final = re.compile(r"[!#$%&'*+.^`|~0-9A-Za-z-]+")
"""A field name of RFC 9110, less the underscore: Envoy rejects requests with such headers."""


def check(plan: Plan, target: Capabilities) -> Iterator[Diagnostic]:
    """Every selector once, and the number of them on a rule."""
    for route in plan.routes:
        seen: set[Selector] = set()
        for backend, limit in route.limits():
            if limit.selectors and limit.selectors[0] not in seen:
                spent = []
                if target.selects_backend and route.tells(backend):
                    spent.append("which backend")
                if target.counts_by_place and prepays(route, limit):
                    spent.append("whether it is prepaid")
                yield from _number(limit.selectors, target, spent)
            for selector in limit.selectors:
                if selector not in seen:  # the limits of one rule share its selectors
                    seen.add(selector)
                    yield from _name(selector)
                    yield from _value(selector)


def legal(header: str) -> bool:
    """Whether Envoy passes on a header of this name."""
    return bool(_TOKEN.fullmatch(header))


def not_a_value(text: str) -> bool:
    """Whether no header of a request can be ``text``."""
    return any(ord(c) < 0x20 or ord(c) == 0x7F for c in text) or text != text.strip()


def _number(selectors: Sequence[Selector], target: Capabilities, spent: Sequence[str]) -> Iterator[Diagnostic]:
    room = target.max_selectors - len(spent)
    if len(selectors) > room:
        why = (
            f", as {len(spent)} of {target.max_selectors} say{'s' * (len(spent) == 1)} {' and '.join(spent)}"
            if spent
            else ""
        )
        message = f"a rule takes at most {room} headers and metadata{why}, not {len(selectors)}"
        hint = "select on fewer, or put a value of several into one header before the gateway"
        yield Diagnostic(codes.TOO_MANY_SELECTORS, selectors[room].origin, message, hint)


def _name(selector: Selector) -> Iterator[Diagnostic]:
    header = selector.header
    if not legal(header):
        why = "Envoy rejects requests with underscores in header names" if "_" in header else "no header name"
        hint = f"use {header.replace('_', '-')}" if "_" in header else "letters, digits and '-'"
        yield Diagnostic(codes.BAD_HEADER, selector.origin, f"{header!r} cannot be matched: {why}", hint)
    elif header == names.BACKEND_HEADER:
        message = f"a rule cannot select on {header}: it belongs to its backend already"
        yield Diagnostic(codes.BAD_HEADER, selector.origin, message, "put the rule under that backend")
    elif header == names.PREPAID_HEADER:
        message = f"a rule cannot select on {header}: the filter says so of requests that it has admitted"
        yield Diagnostic(codes.RESERVED_HEADER, selector.origin, message, "use another header")
    elif header.startswith(names.METADATA_HEADER_PREFIX) and "metadata" not in selector.origin.path:
        message = f"a rule cannot select on {header}: llmroute puts metadata into headers of such names"
        yield Diagnostic(codes.RESERVED_HEADER, selector.origin, message, "match the metadata itself: metadata: […]")


def _value(selector: Selector) -> Iterator[Diagnostic]:
    match, value = selector.match, selector.value
    if match is Match.DISTINCT:
        if value is not None:
            message = f"a Distinct match on {selector.header} takes every value and must not name one"
            yield Diagnostic(codes.DISTINCT_VALUE, selector.origin, message, "remove value, or say type: Exact")
    elif not value and "metadata" in selector.origin.path:
        hint = "leave value out, and each value counts apart"
        yield Diagnostic(codes.MATCH_VALUE, selector.origin, "no metadata matches an empty value", hint)
    elif not value:
        message = f"the {match.value} match on {selector.header} needs a value"
        yield Diagnostic(codes.MATCH_VALUE, selector.origin, message, "add value, or say type: Distinct")
    elif match is Match.REGEX:
        try:
            expression(value)
        except re2.error as error:
            reason = error.args[0] if error.args else ""
            reason = reason.decode() if isinstance(reason, bytes) else reason
            message = f"{value!r} is not an RE2 regular expression: {reason}"
            hint = "RE2 has no look-around and no back-references"
            yield Diagnostic(codes.BAD_REGEX, selector.origin, message, hint)
    elif not_a_value(value):
        message = f"no header can have the value {value!r}"
        yield Diagnostic(codes.WRONG_VALUE, selector.origin, message, "no control characters or outer spaces")
