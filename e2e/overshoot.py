"""Clients who all ask at once, to get past a limit: ``python -m e2e.overshoot [--stack process]``.

64 of one user, each on its own connection, against a limit of 1,000 tokens, with answers of 100 tokens that take 300 ms;
each asks again the moment its answer has ended, until it is refused. They begin when nothing is used, or when one
token is left, which is the worst moment. Prints the table of ``docs/overshoot.md``: what the policy promises and the
worst that was seen, side by side.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from e2e.client import usage, wait_for
from e2e.overtake import Wire, request, wires
from e2e.stacks import STACKS, Stack
from e2e.stacks.local import LocalStack
from llmroute.conformance.upstream import Script
from llmroute.overshoot import in_flight_of_clients, overshoot
from llmroute.pipeline import compile_policies
from llmroute.targets import ENVOY_GATEWAY, capabilities
from tests.policies import USER, header, limit, route, rule, text

CLIENTS: Final = 64
QUANTITY: Final = 1000
PROMPT, ANSWER = 40, 60
TOKENS: Final = PROMPT + ANSWER
WORDS: Final = "x" * (4 * PROMPT - len(json.dumps([{"role": "user", "content": ""}])))
"""A prompt that is as long as its estimate."""
TIMES: Final = 20
BEGINNINGS: Final = (0, QUANTITY - 1)
"""Tokens that are used when the clients begin."""
_SLOW: Final = Script(usage=usage(TOKENS, PROMPT, ANSWER), delay_ms=300)


@dataclass(frozen=True, slots=True)
class Terms:
    """On which requests are admitted. ``refunds``: only a service that takes them can serve it."""

    mode: str
    settle: str
    refunds: bool = False

    @property
    def policy(self) -> str:
        """So many tokens a day for every user, and no longer answer than those that come."""
        made = route(rule(limit(QUANTITY, unit="Day"), headers=[header(USER, "Distinct")]))
        made["spec"]["admission"] = {"mode": self.mode, "settle": self.settle, "maxTokens": ANSWER}
        return text(made)

    @property
    def bound(self) -> int:
        """Tokens past the limit that so many clients can get, at most, by what the policy promises."""
        # Reserve is no mode that Envoy Gateway can serve; the plan of it says the same.
        (planned,) = compile_policies([("policy.yaml", self.policy)], capabilities(ENVOY_GATEWAY)).plan.routes
        ((_, limited),) = planned.limits()
        most = overshoot(limited, planned.admission, in_flight_of_clients(CLIENTS, planned.admission), PROMPT, PROMPT)
        if most is None:
            raise ValueError("a policy with maxTokens has a bound")
        return most


TERMS: Final = (
    Terms("PostPaid", "Async"),
    Terms("PostPaid", "Sync"),
    Terms("PrepaidPrompt", "Async"),
    Terms("PrepaidPrompt", "Sync"),
    Terms("Reserve", "Async", refunds=True),
    Terms("Reserve", "Sync", refunds=True),
)


@dataclass(frozen=True, slots=True)
class Rush:
    """What came of one. ``used`` is the counter in the end, ``served`` how many answers there were after the beginning."""

    beginning: int
    used: int
    served: int
    statuses: frozenset[int]

    @property
    def past(self) -> int:
        """Tokens past the limit."""
        return max(0, self.used - QUANTITY)

    @property
    def owed(self) -> int:
        """What the counter has to be."""
        return self.beginning + self.served * TOKENS


def rush(stack: Stack, beginning: int) -> Rush:
    """One, of a fresh user; the policy is in force."""
    user = f"user-{uuid.uuid4().hex[:12]}"
    message = request(user, stream=False, script=_SLOW, words=WORDS)
    start = threading.Barrier(CLIENTS)

    def until_refused(wire: Wire) -> list[int]:
        start.wait()
        statuses: list[int] = []
        while not statuses or statuses[-1] == 200:
            wire.send(message)
            statuses.append(wire.read_to_end())
            wire.drain()
        return statuses

    with wires(stack.url, CLIENTS) as opened, ThreadPoolExecutor(CLIENTS) as threads:
        if beginning:
            opened[0].send(request(user, stream=False, script=Script(usage=usage(beginning)), words=WORDS))
            opened[0].read_to_end()
            opened[0].drain()
            wait_for(lambda: stack.used(0, user) >= beginning)
        statuses = [status for each in threads.map(until_refused, opened) for status in each]
    served = statuses.count(200)
    wait_for(lambda: stack.used(0, user) >= beginning + served * TOKENS)
    return Rush(beginning, stack.used(0, user), served, frozenset(statuses))


def terms_of(stack: Stack) -> Iterator[Terms]:
    """Those that the stack can serve."""
    return (terms for terms in TERMS if not terms.refunds or isinstance(stack, LocalStack))


def tables(stack: Stack, times: int) -> Iterator[str]:
    """Markdown, line by line as it is measured."""
    yield "| mode | settle | promised: fewer than | seen from 0 | seen from 999 |"
    yield "|---|---|---|---|---|"
    for terms in terms_of(stack):
        stack.apply(terms.policy)
        seen = [max(rush(stack, beginning).past for _ in range(times)) for beginning in BEGINNINGS]
        promised = f"{terms.bound:,}" if terms.bound else "nothing"
        yield f"| {terms.mode} | {terms.settle} | {promised} | {seen[0]:,} | {seen[1]:,} |"


def main(*arguments: Any) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stack", default="process", choices=STACKS)
    parser.add_argument("--times", type=int, default=TIMES, help="of each, from each beginning")
    options = parser.parse_args(arguments or None)
    with STACKS[options.stack]() as stack:
        for line in tables(stack, options.times):
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
