"""The runner at a gateway of a page: honest ones pass, each defect is seen where it is, what does not apply is said."""

from __future__ import annotations

from typing import Any

import pytest

from llmroute.conformance.adapters.protocol import Unfit
from llmroute.conformance.applies import needs_of
from llmroute.conformance.case import Case, Counted, Profile, Together
from llmroute.conformance.cases import all_cases, chosen
from llmroute.conformance.checks import Check
from llmroute.conformance.features import Admission, Feature
from llmroute.conformance.policies import per_user
from llmroute.conformance.rows import ok, refused, script_of
from llmroute.conformance.runner import Outcome, Result, run
from tests.unit.conformance.fake import FakeAdapter

WITHIN = 0.3
"""Seconds that a charge gets to land: the gateway of these tests books before it answers."""


def made(*steps: Any, policy: str = "", **more: Any) -> Case:
    """A case of these steps."""
    return Case(
        "made", "made for this test", Profile.CORE, policy or per_user(20), steps, "It proves something.", **more
    )


def results(adapter: FakeAdapter, *cases: Case) -> dict[str, Result]:
    """By id."""
    with adapter:
        return {result.case.id: result for result in run(cases, adapter, within=WITHIN)}


def wrong(result: Result) -> list[Check]:
    """What differs."""
    return [check for played in result.played for check in played.checks if not check.ok]


@pytest.mark.parametrize("rule", [Admission.BELOW, Admission.UP_TO])
def test_an_honest_gateway_passes(rule: Admission) -> None:
    """All core cases that it can be asked, with either rule; the others are skips that name what is missing."""
    adapter = FakeAdapter(admission=rule, defects={"up_to": rule is Admission.UP_TO})
    found = results(adapter, *chosen([Profile.CORE]))
    assert len(found) == len(chosen([Profile.CORE]))
    by = {outcome: [r for r in found.values() if r.outcome is outcome] for outcome in Outcome}
    assert by[Outcome.FAILED] == []
    assert len(by[Outcome.PASSED]) >= 15
    assert {"exact-quantity", "last-token", "NX-03", "KU-13"} <= {r.case.id for r in by[Outcome.PASSED]}
    own = "admits-below" if rule is Admission.BELOW else "admits-up-to"
    other = "admits-up-to" if rule is Admission.BELOW else "admits-below"
    assert found[own].outcome is Outcome.PASSED
    assert found[other].reason == f"the gateway admits while {rule}"
    for result in by[Outcome.SKIPPED]:
        if result.case.admission is None:
            lacks = needs_of(result.case) - adapter.features
            assert lacks
            nothing_like_it = rule is Admission.UP_TO and Feature.ZERO in lacks
            assert nothing_like_it or result.reason == f"missing: {', '.join(sorted(lacks))}"
        assert result.played == ()


def test_a_quantity_of_0_has_no_reading_for_the_other_rule() -> None:
    """It cannot be had by lowering it."""
    adapter = FakeAdapter(frozenset(Feature), Admission.UP_TO)
    (case,) = chosen(ids=["quantity-of-0"])
    reason = "no quantity refuses everything where requests are admitted while used <= limit"
    assert results(adapter, case)["quantity-of-0"].reason == reason


def test_a_rule_that_does_not_hold_is_seen() -> None:
    """Declared below, admits up to: the request at used == limit should have been refused."""
    found = results(FakeAdapter(defects={"up_to": True}), made(ok(20), refused()))["made"]
    assert found.outcome is Outcome.FAILED
    assert found.logs == "a line of the log"
    assert Check("status", 429, 200) in wrong(found)
    assert Check("reached the upstream", False, True) in wrong(found)  # noqa: FBT003


@pytest.mark.parametrize(("charge", "counted"), [(1, 11), (-1, 9)])
def test_a_charge_that_is_off_by_one_is_seen(charge: int, counted: int) -> None:
    """Too much and too little; the steps after it are not made."""
    found = results(FakeAdapter(defects={"charge": charge}), made(ok(10), ok(10)))["made"]
    assert wrong(found) == [Check("limit 1 has counted of {user}", 10, counted)]
    assert len(found.played) == 1


def test_a_refusal_that_the_upstream_sees_is_seen() -> None:
    """The 429 alone does not do."""
    found = results(FakeAdapter(defects={"leaks": True}), made(ok(20), refused()))["made"]
    assert wrong(found) == [Check("reached the upstream", False, True)]  # noqa: FBT003


def test_no_answer_is_an_observation() -> None:
    """It says how there was none."""
    (check,) = wrong(results(FakeAdapter(defects={"hangs_up": True}), made(ok(10)))["made"])
    assert (check.what, check.expected) == ("an answer", "there is one")
    assert check.observed.startswith("RemoteDisconnected")


def test_counters_are_compared_also_where_nothing_is_charged() -> None:
    """A counter that a step names must read so."""
    assert wrong(results(FakeAdapter(), made(ok(10), Counted(0, ("{user}",), 11)))["made"]) == [
        Check("limit 1 has counted of {user}", 11, 10)
    ]


def test_together() -> None:
    """How many are admitted is counted, and each is charged."""
    step = Together(4, script_of(10), (4, 4), (10,))
    assert results(FakeAdapter(), made(step, refused()))["made"].outcome is Outcome.PASSED
    few = made(ok(20), Together(4, script_of(10), (1, 2), (10,)))
    assert Check("admitted", "1 to 2", "0") in wrong(results(FakeAdapter(), few)["made"])
    leaks = made(ok(20), Together(4, script_of(10), (0, 0), (10,)))
    assert Check("refused and yet at the upstream", 0, 4) in wrong(
        results(FakeAdapter(defects={"leaks": True}), leaks)["made"]
    )


def test_together_without_an_answer() -> None:
    """Why there is none is said: a connection that was closed is another fault than one on which nothing came."""
    silent = made(Together(4, script_of(10), (4, 4), (10,)))
    checks = wrong(results(FakeAdapter(defects={"hangs_up": True}), silent)["made"])
    (check,) = [check for check in checks if check.what == "answers of another status"]
    assert isinstance(check.observed, str)
    assert check.observed.startswith("4 x no answer; RemoteDisconnected: ")


def test_a_gateway_that_does_not_come_up_fails_its_cases() -> None:
    """With what was raised; the run goes on."""
    found = results(FakeAdapter(broken=OSError("no port")), made(ok(10)))["made"]
    assert (found.outcome, found.reason) == (Outcome.FAILED, "the policy did not come in force: no port")


def test_a_policy_that_a_gateway_has_no_words_for_is_a_skip() -> None:
    """With the gateway's reason, and the run goes on."""
    found = results(FakeAdapter(broken=Unfit("it has no days")), made(ok(10)))["made"]
    assert (found.outcome, found.reason, found.played) == (Outcome.SKIPPED, "it has no days", ())


def test_one_gateway_for_each_policy() -> None:
    """Whatever the order of the cases; each case has users of its own."""
    cases = [Case(f"case-{n}", "t", Profile.CORE, per_user(10 + n % 2), (ok(10 + n % 2), refused())) for n in range(6)]
    adapter = FakeAdapter()
    found = results(adapter, *cases)
    assert {result.outcome for result in found.values()} == {Outcome.PASSED}
    assert sorted(adapter.served) == sorted({case.policy for case in cases})


def test_a_run_that_is_given_up_leaves_no_gateway_behind() -> None:
    """As on Ctrl-C: the generator is closed where it stands."""
    adapter = FakeAdapter()
    with adapter:
        running = run([made(ok(10)), made(ok(10))], adapter, within=WITHIN)
        next(running)
        assert adapter.open == 1
        running.close()
        assert adapter.open == 0


def test_without_a_feature() -> None:
    """What the caller says that a gateway lacks it lacks."""
    with FakeAdapter() as adapter:
        (result,) = run([made(ok(10))], adapter, without=frozenset({Feature.COUNTERS}))
    assert result.reason == "missing: counters"


def test_the_cases() -> None:
    """At least 120, in all profiles; each says what it is and proves, and has an id for file names and URLs."""
    cases = all_cases()
    assert len(cases) >= 120
    assert {case.profile for case in cases} == set(Profile)
    for case in cases:
        assert case.title, case.id
        assert case.proves.endswith("."), case.id
        assert case.steps, case.id
        assert case.id.replace("-", "").replace(".", "").replace("+", "").replace("_", "").isalnum(), case.id
