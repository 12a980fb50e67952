"""Whether a selector takes a value, as Envoy decides it."""

from __future__ import annotations

from typing import Any

import re2

from llmroute.plan import Match, Selector


def pattern(text: str) -> Any | None:
    """The compiled RE2 expression; None for a text that is none."""
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(text, options)
    except re2.error:
        return None


def takes(selector: Selector, value: str) -> bool:
    """Whether ``selector`` matches a request whose header is ``value``. An expression has to match all of it."""
    if selector.match is Match.DISTINCT:
        return True
    if selector.match is Match.EXACT:
        return value == selector.value
    compiled = pattern(selector.value or "")
    return compiled is not None and compiled.fullmatch(value) is not None
