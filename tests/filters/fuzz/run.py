"""Batches of random cases against the oracle."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Final

from tests.filters.fuzz import answers, framings, requests, upstream
from tests.filters.fuzz.answers import Expected
from tests.filters.fuzz.engine import Case, Fuzzed, FuzzedLua, Outcome, metadata
from tests.filters.fuzz.shrink import shrink
from tests.filters.fuzz.wasm import FuzzedWasm
from tests.filters.proxy import WASM

BATCH: Final = 250
TARGETS: Final[tuple[str, ...]] = (
    "request",
    "broken",
    "form",
    "path",
    "document",
    "stream",
    "stream",
    "lines",
    "messages",
)


@dataclass(frozen=True, slots=True)
class Divergence:
    """A case of which the Lua and the oracle say different things."""

    case: Case
    expected: Expected | Outcome
    outcome: Outcome
    what: str


def make(random: Random, target: str) -> Case:
    """A random case of a target."""
    return (
        framings.answer(random, target)
        if target in ("document", "stream", "lines", "messages")
        else requests.make(random, target)
    )


def judge(case: Case, outcome: Outcome) -> tuple[Expected | None, str]:
    """What the oracle expects (None: it cannot say), and how the outcome differs from it, or nothing."""
    if outcome.logs:
        return answers.Expected(b"", {}), f"a fault: {outcome.logs}"
    if case.entry == "request":
        return upstream.judge(case, outcome)
    expected = answers.expect(case)
    if expected is None:
        return None, ""
    if outcome.body != expected.body:
        return expected, "bytes"
    if metadata(outcome.metadata) != expected.metadata:
        return expected, "metadata"
    if expected.middle is not None and metadata(outcome.middle) != expected.middle:
        return expected, "metadata on the way"
    return expected, ""


def check(fuzzed: Fuzzed, cases: list[Case]) -> Iterator[Divergence]:
    """Every case that diverges."""
    unsaid: list[tuple[Case, Outcome]] = []
    for case, outcome in zip(cases, fuzzed.run(cases), strict=True):
        expected, what = judge(case, outcome)
        if expected is None:
            unsaid.append((case, outcome))
        elif what:
            yield Divergence(case, expected, outcome, what)
    for (case, outcome), other in zip(unsaid, fuzzed.run([case.cut(case.body) for case, _ in unsaid]), strict=True):
        # Of broken JSON the oracle knows nothing but that cuts change nothing.
        if (other.body, other.metadata) != (outcome.body, outcome.metadata):
            yield Divergence(case, other, outcome, "in one piece it is another")


def smallest(fuzzed: Fuzzed, found: Divergence) -> Divergence:
    """The same fault in a small case."""

    def again(case: Case) -> Divergence | None:
        return next((one for one in check(fuzzed, [case]) if one.what == found.what), None)

    return again(shrink(found.case, lambda case: again(case) is not None)) or found


def batches(seed: str, count: int) -> Iterator[list[Case]]:
    """``count`` cases, the same ones for the same seed."""
    for first in range(0, count, BATCH):
        random = Random(f"{seed}:{first}")  # noqa: S311 - to be repeated, not to be secret
        yield [make(random, TARGETS[n % len(TARGETS)]) for n in range(first, min(count, first + BATCH))]


def hunt(fuzzed: Fuzzed, seed: str, count: int, stop: Callable[[], bool] = lambda: False) -> Divergence | None:
    """The first divergence of a run, or None."""
    for made in batches(seed, count):
        cases = [case for case in made if fuzzed.takes(case)]
        found = next(check(fuzzed, cases), None)
        if found or stop():
            return found
    return None


def fuzzed_on(engine: str) -> Fuzzed:
    """The filter on an engine of this name."""
    return FuzzedWasm() if engine == WASM else FuzzedLua(engine)


def job(engine: str, seed: str, count: int) -> Divergence | None:
    """One share of a long run, in a process of its own: the first divergence, made small."""
    fuzzed = fuzzed_on(engine)
    found = hunt(fuzzed, seed, count)
    return found and smallest(fuzzed, found)
