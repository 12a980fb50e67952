"""A fixed part of ``make fuzz``: the filter and the oracle say the same of 20,000 cases; and the oracle does find faults."""

from __future__ import annotations

import pytest

from tests.filters.fuzz.engine import sources
from tests.filters.fuzz.mutants import MUTANTS, broken, verdicts
from tests.filters.fuzz.run import fuzzed_on, hunt, smallest
from tests.filters.fuzz.show import show

SEED = "5"
QUICK = tuple(mutant for mutant in MUTANTS if mutant.quick)


@pytest.mark.parametrize(
    ("engine", "count"),
    [
        ("luajit21", 5_000),
        ("wasm", 500),
        *(
            pytest.param(engine, count, marks=pytest.mark.slow)
            for engine, count in (("luajit21", 15_000), ("lua51", 5_000), ("wasm", 20_000))
        ),
    ],
)
def test_the_filter_says_what_the_oracle_says(engine: str, count: int) -> None:
    """Models, rewritten bodies, bytes to the client and all numbers, at the end and on the way."""
    fuzzed = fuzzed_on(engine)
    found = hunt(fuzzed, SEED, count)
    assert found is None, "\n".join(show(smallest(fuzzed, found)))


def test_a_fault_in_the_lua_is_found() -> None:
    """Some of those that ``python -m tools.fuzz --faults`` puts in, one after the other."""
    assert len(QUICK) >= 5
    assert [mutant for mutant, how in verdicts(QUICK, 4_000) if how is None] == []


def test_the_places_of_all_faults_are_there() -> None:
    """Else a change of the Lua would take a fault out of the proof unseen."""
    assert [mutant for mutant in MUTANTS if broken(mutant, sources()) is None] == []
