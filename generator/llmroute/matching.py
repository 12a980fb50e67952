"""Whether a selector takes a value, as Envoy decides it."""

from __future__ import annotations

from typing import Any

import re2

from llmroute.plan import Match, Selector


def expression(text: str) -> Any:
    """The compiled RE2 expression.

    Raises:
        re2.error: ``text`` is none.
    """
    options = re2.Options()
    options.log_errors = False
    return re2.compile(text, options)


def pattern(text: str) -> Any | None:
    """The same; None for a text that is none."""
    try:
        return expression(text)
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
