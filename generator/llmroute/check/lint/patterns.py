"""Regular expressions that RE2, on a whole value, takes otherwise than they read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from llmroute import codes, names
from llmroute.diagnostic import Diagnostic, Severity
from llmroute.plan import Match, Route, Selector

_ESCAPE_OR_SET: Final = re.compile(
    r"\\[pP]\{[^}]*\}|\\x\{[^}]*\}|\\Q.*?(?:\\E|$)|\\.|\[\^?\]?(?:\[:\^?\w+:\]|\\.|[^\]])*\]"
)
"""What stands for itself or for one character: a dot in it is a dot, and an anchor none."""
_BARE_DOT: Final = re.compile(r"(?<=\w)\.(?=\w)")
_FLAGS: Final = re.compile(r"^\(\?[imsU-]+\)")
_SIGN: Final = re.compile(r"[\\^$.|?*+()\[\]{}]")
_REPEATED: Final = ("*", "+", "}", "*?", "+?")
"""At its end an expression with one of these may take whatever follows."""
_ASCII: Final = re.compile(r"\\[wWbB]|\[:\^?(?:alpha|alnum|word|lower|upper):\]")


def check(route: Route) -> Iterator[Diagnostic]:
    """Each selector once."""
    selectors = (selector for _, limit in route.limits() for selector in limit.selectors)
    for selector in dict.fromkeys(selector for selector in selectors if selector.match is Match.REGEX):
        text = selector.value or ""
        yield from _partial(selector, text)
        yield from _any_character(selector, text)
        yield from _ascii(selector, text)


def _partial(selector: Selector, text: str) -> Iterator[Diagnostic]:
    """An anchor at one end alone, or no sign of an expression at all: a part of the value was meant."""
    bare = _FLAGS.sub("", _ESCAPE_OR_SET.sub("_", text))
    begins, ends = bare.startswith("^"), bare.endswith("$")
    if not _SIGN.search(text):
        message = f"'{text}' as an expression matches this one value alone"
        hint = f"say type: Exact, or {text}.* for all that begin so"
    elif begins and not ends and not bare.rstrip(")").endswith(_REPEATED):
        message = f"'{text}' says where a value begins, and has to match it to its end all the same"
        hint = f"for all that begin so: {text}.*"
    elif ends and not begins and not bare.lstrip("(").startswith(".*"):
        message = f"'{text}' says where a value ends, and has to match it from its beginning all the same"
        hint = f"for all that end so: .*{text}"
    else:
        return
    yield Diagnostic(codes.PARTIAL_PATTERN, selector.origin, message, hint, Severity.WARNING)


def _any_character(selector: Selector, text: str) -> Iterator[Diagnostic]:
    """Between letters or digits, as in ``gpt-3.5``, a dot is meant as one. Of other headers nobody knows."""
    if selector.header == names.MODEL_HEADER and _BARE_DOT.search(_ESCAPE_OR_SET.sub("!", text)):
        message = f"the dot in '{text}' is any character, not the dot in a model's name"
        hint = rf"write \. for a dot: {_escaped(text)}"
        yield Diagnostic(codes.ANY_CHARACTER, selector.origin, message, hint, Severity.WARNING)


def _escaped(text: str) -> str:
    """With a backslash before each dot that stands between letters or digits and not in a set."""
    kept = [found.span() for found in _ESCAPE_OR_SET.finditer(text)]
    around = {place for begin, end in kept for place in range(begin - 1, end + 1)}
    dots = {found.start() for found in _BARE_DOT.finditer(text)} - around
    return "".join("\\." if place in dots else character for place, character in enumerate(text))


def _ascii(selector: Selector, text: str) -> Iterator[Diagnostic]:
    """Models are ASCII; names of people need not be."""
    found = _ASCII.search(text) if selector.header != names.MODEL_HEADER else None
    if found:
        message = f"{found[0]} in '{text}' knows the letters a to z and no other: RE2's classes are ASCII"
        hint = r"write \pL for any letter, or [^ ] for anything but a blank"
        yield Diagnostic(codes.ASCII_CLASS, selector.origin, message, hint, Severity.NOTE)
