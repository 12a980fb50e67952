"""The suite finds defects: gateways with one put into them on purpose turn the cases red that are about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
import yaml

from llmroute.conformance.adapters.find import LOCAL
from llmroute.conformance.adapters.local import LocalStack
from llmroute.conformance.adapters.stack import StackAdapter
from llmroute.conformance.cases import chosen
from llmroute.conformance.runner import Outcome, Result, run

pytestmark = pytest.mark.slow

Change = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]
"""From a route's rate limit actions to others."""
WITHIN: Final = 3.0
"""Seconds in which a charge must land: what is never charged is waited for."""


def charges(action: dict[str, Any]) -> bool:
    """Whether it is a charge after the answer: a check comes before it."""
    return bool(action.get("apply_on_stream_done"))


def twice(actions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every charge is made twice."""
    return [each for action in actions for each in ([action, action] if charges(action) else [action])]


def never(actions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """No charge is made."""
    return [action for action in actions if not charges(action)]


def unchecked(actions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Nothing is asked before a request."""
    return [action for action in actions if charges(action)]


def edited(change: Change) -> Callable[[str], str]:
    """An edit of Envoy's bootstrap that changes the actions of every route."""

    def inside(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: change(v) if k == "rate_limits" else inside(v) for k, v in value.items()}
        return [inside(each) for each in value] if isinstance(value, list) else value

    return lambda bootstrap: yaml.safe_dump(inside(yaml.safe_load(bootstrap)))


def results(change: Change, *ids: str) -> Iterator[Result]:
    """Of these cases, at a gateway with the change."""
    with StackAdapter("defect", LocalStack(edited(change))) as adapter:
        yield from run(chosen(ids=ids), adapter, within=WITHIN)


def what_differs(result: Result) -> set[str]:
    """What was looked at and came otherwise."""
    return {check.what for played in result.played for check in played.checks if not check.ok}


COUNTER: Final = "limit 1 has counted of {user}"
REACHED: Final = "reached the upstream"


@pytest.mark.parametrize(
    ("change", "red", "differs", "green"),
    [
        (twice, ["exact-quantity", "stream-asked", "reported-no-total"], {COUNTER}, ["quantity-of-0", "HE-03"]),
        (never, ["exact-quantity", "stream-asked", "leaves-after-usage"], {COUNTER}, ["quantity-of-0", "HE-03"]),
        (
            unchecked,
            ["exact-quantity", "model-repeated", "refused-stream"],
            {"status", REACHED},
            ["stream-asked", "HE-03"],
        ),
    ],
    ids=["charged-twice", "never-charged", "never-checked"],
)
def test_a_defect(
    pytestconfig: pytest.Config, change: Change, red: list[str], differs: set[str], green: list[str]
) -> None:
    """The cases about it fail, by what differs; those that have nothing to do with it pass."""
    if pytestconfig.getoption("--stack") != LOCAL:
        pytest.skip("for --stack local")
    found = {result.case.id: result for result in results(change, *red, *green)}
    assert {name for name, result in found.items() if result.outcome is Outcome.FAILED} == set(red)
    for name in red:
        assert differs <= what_differs(found[name]), name
