"""A short soak: every counter is what the upstream's ledger says, to the token, and the comparison finds one that is not."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, cast

import pytest

from e2e.soak.driver import soak
from e2e.soak.plan import Plan
from e2e.soak.traffic import DEEDS, MODELS
from e2e.stacks import Stack
from llmroute.conformance.upstream import ScriptedUpstream

PLAN = Plan(users=12, clients=8, seconds=3.0, restarts=0, quantity=1500, seed=20261128)


@pytest.fixture(autouse=True)
def ledger(stack: Stack) -> None:
    """It is read as a whole, again and again."""
    if not isinstance(stack.upstream, ScriptedUpstream):
        pytest.skip("missing capability: a ledger that can be read at once (--stack local, process or standalone)")


def test_every_counter_is_the_ledgers(stack: Stack) -> None:
    """Of all levels and kinds of tokens, whatever clients and upstream did."""
    soaked = soak(stack, PLAN, {}, lambda _: None)
    assert list(soaked.faults()) == []
    assert {name for name, _ in soaked.seen.statuses} == {deed.name for deed in DEEDS}, "not everything was done"
    assert soaked.seen.refused, "nobody has used up a limit"
    assert soaked.tokens > PLAN.quantity


class OneMore:
    """A stack one of whose counters reads one more than it has."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stack, name)

    def used(self, limit: int, *values: str) -> int:
        """The counter, or one more."""
        return self._stack.used(limit, *values) + (values == (MODELS[0],) and limit == 3)


def test_a_charge_too_many_is_found(stack: Stack) -> None:
    """One token on one counter, and the soak says which."""
    soaked = soak(cast("Stack", OneMore(stack)), replace(PLAN, seconds=0.5), {}, lambda _: None)
    (fault,) = soaked.faults()
    assert re.fullmatch(f"limit 3 of {MODELS[0]}: the ledger says (\\d+), the counter \\d+", fault)
    assert not soaked.ok
