"""The suite finds defects: gateways with one put into them on purpose turn the cases red that are about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import pytest

from e2e.defects import Actions, Change, Miscounting, of_actions, of_filter
from llmroute.conformance.adapters.find import LOCAL
from llmroute.conformance.adapters.local import LocalStack
from llmroute.conformance.adapters.stack import StackAdapter
from llmroute.conformance.cases import chosen
from llmroute.conformance.runner import Outcome, Result, run
from tests.filters.fuzz.mutants import Mutant

pytestmark = pytest.mark.slow

WITHIN: Final = 3.0
"""Seconds in which a charge must land: what is never charged is waited for."""
COUNTER: Final = "limit 1 has counted of {user}"
REACHED: Final = "reached the upstream"
ADMITTED: Final = frozenset({"status", REACHED})
CHARGED: Final = frozenset({COUNTER})


def charges(action: dict[str, Any]) -> bool:
    """Whether it is a charge after the answer: a check comes before it."""
    return bool(action.get("apply_on_stream_done"))


def twice(actions: Actions) -> Actions:
    """Every charge is made twice."""
    return [each for action in actions for each in ([action, action] if charges(action) else [action])]


def never(actions: Actions) -> Actions:
    """No charge is made."""
    return [action for action in actions if not charges(action)]


def unchecked(actions: Actions) -> Actions:
    """Nothing is asked before a request."""
    return [action for action in actions if charges(action)]


class Defect(NamedTuple):
    """What is wrong, the cases that find it, what differs in each of them, and cases that have nothing to do with it.

    ``stack`` makes the gateway of the change.
    """

    name: str
    change: Callable[[], Change]
    red: tuple[str, ...]
    differs: frozenset[str]
    green: tuple[str, ...]
    stack: Callable[[Change], LocalStack] = LocalStack


DEFECTS: Final = (
    Defect(
        "charged-twice",
        lambda: of_actions(twice),
        ("exact-quantity", "stream-asked", "reported-no-total"),
        CHARGED,
        ("quantity-of-0", "HE-03"),
    ),
    Defect(
        "never-charged",
        lambda: of_actions(never),
        ("exact-quantity", "stream-asked", "leaves-after-usage"),
        CHARGED,
        ("quantity-of-0", "HE-03"),
    ),
    Defect(
        "never-checked",
        lambda: of_actions(unchecked),
        ("exact-quantity", "model-repeated", "refused-stream"),
        ADMITTED,
        ("stream-asked", "HE-03"),
    ),
    Defect(
        "charge-plus-one",
        lambda: of_filter(
            Mutant(
                "meter", 'put(self, out, "total_tokens", now.total)', 'put(self, out, "total_tokens", now.total + 1)'
            )
        ),
        ("exact-quantity", "stream-asked", "reported-zero", "anthropic-json"),
        CHARGED,
        ("WS-12-Completion", "AG-02", "quantity-of-0", "HE-03"),
    ),
    Defect(
        # Each piece is read when the next one comes, and nothing comes after the last. Pieces of these streams
        # come one by one, as the upstream waits for the client between them.
        "last-chunk-dropped",
        lambda: of_filter(
            Mutant(
                "response",
                "    out = sse.push(self.stream, body, self.sink)\n",
                "    out, self.late = self.late and sse.push(self.stream, self.late, self.sink), body\n",
            )
        ),
        ("first-byte", "cut-in-usage", "leaves-after-usage", "breaks-after-usage"),
        CHARGED,
        ("exact-quantity", "long-answer", "KU-19-stream", "W-02"),
    ),
    Defect(
        "client-model-trusted",
        lambda: of_filter(
            Mutant("filter", '  guard(handle, header.set, headers, route.model_header, "unknown")\n', ""),
            Mutant(
                "filter",
                "header.set(headers, route.model_header, model)",
                "header.settle(headers, route.model_header, model)",
            ),
        ),
        ("model-header", "model-header-in-capitals"),
        ADMITTED,
        ("exact-quantity", "model-repeated", "unreadable-no-json", "user-twice"),
    ),
    Defect(
        "errors-charged",
        lambda: of_filter(
            Mutant("response", "if status < 200 or status > 299 or known.unmetered then", "if known.unmetered then")
        ),
        ("upstream-400", "upstream-404", "upstream-429", "upstream-500"),
        CHARGED,
        ("exact-quantity", "errors-are-requests", "reading-GET", "stream-asked"),
    ),
    Defect(
        "disconnects-forgotten",
        lambda: of_filter(Mutant("meter", 'if self.policy.onDisconnect == "Free" or', "if true or")),
        ("leaves-after-1", "leaves-after-2", "leaves-after-usage", "leaves-after-unseen-usage"),
        CHARGED,
        ("exact-quantity", "stream-asked", "leaves-free", "upstream-500"),
    ),
    Defect(
        "admits-at-limit",
        lambda: Change("requests_per_unit", lambda limit: limit + 1),
        ("admits-below", "quantity-of-0", "no-requests", "model-repeated"),
        ADMITTED,
        ("stream-asked", "reported-no-total", "leaves-after-1", "HE-03"),
        Miscounting,
    ),
)


def results(defect: Defect) -> Iterator[Result]:
    """Of its cases, at a gateway that has it."""
    change = defect.change()
    with StackAdapter("defect", defect.stack(change)) as adapter:
        yield from run(chosen(ids=(*defect.red, *defect.green)), adapter, within=WITHIN)
    assert change.made, f"{defect.name} was put nowhere"


def what_differs(result: Result) -> set[str]:
    """What was looked at and came otherwise."""
    return {check.what for played in result.played for check in played.checks if not check.ok}


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_a_defect(pytestconfig: pytest.Config, defect: Defect) -> None:
    """The cases about it fail, by what differs; those that have nothing to do with it pass."""
    if pytestconfig.getoption("--stack") != LOCAL:
        pytest.skip("for --stack local")
    found = {result.case.id: result for result in results(defect)}
    assert set(found) == {*defect.red, *defect.green}
    assert {name for name, result in found.items() if result.outcome is Outcome.FAILED} == set(defect.red)
    assert {name for name, result in found.items() if result.outcome is Outcome.PASSED} == set(defect.green)
    for name in defect.red:
        assert defect.differs <= what_differs(found[name]), name


def test_a_defect_that_has_lost_its_place() -> None:
    """It is said, not passed over."""
    with pytest.raises(LookupError, match=r"meter\.lua does not have once: no such line"):
        of_filter(Mutant("meter", "no such line", ""))
