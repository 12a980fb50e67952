"""Runs cases at a gateway: those that share a policy share a gateway, each as users who are new."""

from __future__ import annotations

import enum
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass

from llmroute.conformance.adapters.protocol import Adapter, Gateway, Unfit
from llmroute.conformance.applies import lacking, limits_of, plan_of
from llmroute.conformance.case import Case
from llmroute.conformance.environment import own_features
from llmroute.conformance.exchange import WITHIN
from llmroute.conformance.features import Feature
from llmroute.conformance.player import Played, Player
from llmroute.conformance.reading import read_at
from llmroute.conformance.windows import wait_until_clear


class Outcome(enum.StrEnum):
    """What became of a case."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Result:
    """Of one case. ``reason``: of a skip, or of a gateway that did not come up. ``logs`` are for the failed ones."""

    case: Case
    outcome: Outcome
    reason: str = ""
    played: tuple[Played, ...] = ()
    seconds: float = 0.0
    logs: str = ""


def run(
    cases: Iterable[Case], adapter: Adapter, *, without: frozenset[Feature] = frozenset(), within: float = WITHIN
) -> Generator[Result, None, None]:
    """The results as they come: most skips first, then policy by policy. The adapter has been entered.

    ``without``: features to do without, whoever has them. ``within``: seconds in which a charge must land.
    """
    chosen = list(cases)
    features = (adapter.features | own_features()) - without
    reasons = {case.id: lacking(case, adapter.admission, features) for case in chosen}
    yield from (Result(case, Outcome.SKIPPED, reasons[case.id]) for case in chosen if reasons[case.id])
    groups: dict[tuple[str, bool], list[Case]] = {}
    for case in (read_at(case, adapter) for case in chosen if not reasons[case.id]):
        groups.setdefault((case.policy, case.fail_open), []).append(case)
    for (policy, fail_open), group in groups.items():
        yield from _served(group, policy, adapter, fail_open=fail_open, within=within)


def _served(
    cases: Sequence[Case], policy: str, adapter: Adapter, *, fail_open: bool, within: float
) -> Iterator[Result]:
    context = adapter.serve(policy, fail_open=fail_open)
    try:
        gateway = context.__enter__()
    except Unfit as lack:
        yield from (Result(case, Outcome.SKIPPED, str(lack)) for case in cases)
        return
    except Exception as error:  # noqa: BLE001 whatever keeps a gateway from coming up is what its cases report
        for case in cases:
            yield Result(case, Outcome.FAILED, f"the policy did not come in force: {error}")
        return
    try:
        for case in cases:
            yield run_case(case, gateway, adapter, within=within)
    finally:
        context.__exit__(None, None, None)


def run_case(case: Case, gateway: Gateway, adapter: Adapter, *, within: float = WITHIN) -> Result:
    """One case at a gateway that has its policy in force."""
    begun = time.monotonic()
    if Feature.CLOCK not in adapter.features:
        wait_until_clear({limit.unit for limit in limits_of(plan_of(case))})
    played = tuple(Player(case, gateway, adapter, within).play())
    failed = not all(step.ok for step in played)
    outcome = Outcome.FAILED if failed else Outcome.PASSED
    return Result(case, outcome, "", played, time.monotonic() - begun, gateway.logs() if failed else "")
