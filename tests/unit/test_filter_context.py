"""What the filter is told of limits, so that it can name the one that refused."""

from __future__ import annotations

from typing import Any

import pytest

from llmroute.emit.filter_context import filter_context
from tests.policies import compiled, limit, route, rule


def told(*limits: dict[str, Any]) -> list[dict[str, Any]]:
    """``limits`` of the context of a route with these limits."""
    (plan,) = compiled(route(rule(*limits))).plan.routes
    found: list[dict[str, Any]] = filter_context(plan, {})["limits"]
    return found


TOTAL = limit(10)
PROMPT = limit(10) | {"token": "Prompt"}
COMPLETION = limit(10) | {"token": "Completion"}
WEIGHTED = limit(10) | {"weights": {"completion": 4}}
REQUESTS = limit(10, "Request")


@pytest.mark.parametrize(
    ("one", "what"),
    [
        (TOTAL, None),
        (REQUESTS, None),
        (PROMPT, "prompt tokens"),
        (COMPLETION, "completion tokens"),
        (WEIGHTED, "weighted tokens"),
    ],
)
def test_a_limit_says_what_it_counts(one: dict[str, Any], what: str | None) -> None:
    """Where that is more than its kind."""
    (only,) = told(one)
    assert only.get("what") == what


@pytest.mark.parametrize(
    "limits", [(PROMPT, COMPLETION), (TOTAL, PROMPT), (PROMPT, TOTAL), (PROMPT, COMPLETION, PROMPT)]
)
def test_limits_that_look_the_same_say_tokens(limits: tuple[dict[str, Any], ...]) -> None:
    """The proxy reports a limit by quantity and window alone: nobody knows which of them refused."""
    (only,) = told(*limits)
    assert "what" not in only
    assert only["kind"] == "tokens"


def test_a_shadow_is_not_told() -> None:
    """It refuses nobody, and takes no other limit's name away."""
    (only,) = told(PROMPT, COMPLETION | {"shadow": True})
    assert only["what"] == "prompt tokens"
