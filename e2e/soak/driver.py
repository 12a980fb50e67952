"""Drives a stack: clients, a part killed now and then, and the comparison in the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from e2e.client import wait_for
from e2e.soak.account import Account
from e2e.soak.clients import Clients, Seen
from e2e.soak.plan import Plan
from e2e.soak.traffic import MOST
from e2e.stacks import Stack
from llmroute.conformance.upstream import ScriptedUpstream


@dataclass(frozen=True, slots=True)
class Restart:
    """Of a part: after how many seconds of the soak, and how long until it served again."""

    part: str
    at: float
    took: float


@dataclass(frozen=True, slots=True)
class Difference:
    """A counter that is not what the upstream's ledger says."""

    counter: str
    owed: int
    used: int


@dataclass(frozen=True, slots=True)
class Soaked:
    """What came of it. ``counters`` is how many were compared; ``tokens`` the sum of all that is owed."""

    plan: Plan
    seen: Seen
    restarts: Sequence[Restart]
    counters: int
    tokens: int
    served: int
    past: int
    differences: Sequence[Difference]
    leaked: Sequence[str]
    early: Sequence[str]

    @property
    def ok(self) -> bool:
        """Whether everything is as promised."""
        return not (self.differences or self.leaked or self.early or self.seen.wrong or self.past >= self.bound)

    @property
    def bound(self) -> int:
        """Tokens past a user's limit: each client may have a request in flight and one whose charge has not landed."""
        return 2 * self.plan.clients * MOST

    def faults(self) -> Iterator[str]:
        """What is not as promised, a line each."""
        yield from (f"{d.counter}: the ledger says {d.owed}, the counter {d.used}" for d in self.differences)
        yield from (f"{mark} was refused and reached the upstream" for mark in self.leaked)
        yield from (f"{user} was refused with tokens left" for user in self.early)
        yield from self.seen.wrong
        if self.past >= self.bound:
            yield f"{self.past} tokens past a limit, promised are fewer than {self.bound}"


def soak(stack: Stack, plan: Plan, kills: Mapping[str, Callable[[], None]], say: Callable[[str], None]) -> Soaked:
    """Drive the stack. ``kills`` are its parts: each is called while nothing is in flight, and gives it back.

    A part that is killed takes along what is in flight (docs/operations.md bounds it), so the ledger could not
    tell what has to be counted. Everything before it was counted already, or the part has lost it.
    """
    upstream = stack.upstream
    if not isinstance(upstream, ScriptedUpstream):
        raise TypeError("the ledger is read in this process")
    stack.apply(plan.policy)
    account, restarts = Account(upstream), list[Restart]()
    began = time.monotonic()
    with Clients(stack, plan) as clients:
        for number in range(plan.restarts if kills else 0):
            _pass(began + plan.seconds * (number + 1) / (plan.restarts + 1))
            part = list(kills)[number % len(kills)]
            with clients.gate.closed():
                _settle(stack, account)
                at = time.monotonic()
                kills[part]()
                restarts.append(Restart(part, at - began, time.monotonic() - at))
            say(f"{restarts[-1].at:5.0f} s: {part} was killed and is back after {restarts[-1].took:.1f} s")
        _pass(began + plan.seconds)
    _settle(stack, account)
    return _compared(stack, plan, clients.seen, restarts, account)


def _pass(moment: float) -> None:
    """Let the clients go on until then."""
    time.sleep(max(0.0, moment - time.monotonic()))


def _settle(stack: Stack, account: Account) -> None:
    """Wait until all that is owed has landed; what does not is found by the comparison."""
    account.read()
    wait_for(lambda: stack.used(0) >= account.due[0, ()])


def _compared(stack: Stack, plan: Plan, seen: Seen, restarts: Sequence[Restart], account: Account) -> Soaked:
    used = {(number, values): stack.used(number, *values) for number, values in account.due}
    differences = [
        Difference(f"limit {number} of {', '.join(values) or 'all'}", due, used[number, values])
        for (number, values), due in account.due.items()
        if used[number, values] != due
    ]
    of_user = {values[0]: tokens for (number, values), tokens in used.items() if number == 1}
    return Soaked(
        plan,
        seen,
        restarts,
        counters=len(used),
        tokens=account.due[0, ()],
        served=account.served,
        past=max(0, *(tokens - plan.quantity for tokens in of_user.values())),
        differences=differences,
        leaked=[mark for mark in seen.refused if mark in account.marks],
        early=sorted({user for user in seen.refused.values() if of_user.get(user, 0) < plan.quantity}),
    )
