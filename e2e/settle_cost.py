"""What ``settle: Sync`` costs and what it buys, measured: ``python -m e2e.settle_cost [--stack process]``.

One run, Async and Sync in turns, one client after another. Prints the tables of ``docs/settle.md``: the time until an
answer's end has been read, Envoy's CPU time for an answer, and how many of those that asked again at once were let in
over a used-up limit.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from e2e.overtake import overtake, request, wires
from e2e.stacks import STACKS, Stack
from e2e.stacks.local import EnvoyStack
from e2e.test_settle import policy
from tools.proc import cpu_seconds

SETTLES: Final = ("Async", "Sync")
KINDS: Final = {"JSON": False, "stream": True}
PLENTY: Final = 1_000_000_000
WARM_UP: Final = 50


@dataclass
class Seen:
    """Of one kind of answer under one policy."""

    seconds: list[float] = field(default_factory=list)
    """Until each answer's end had been read."""
    cpu: list[float] = field(default_factory=list)
    """Envoy's seconds for an answer, of each round."""
    admitted: int = 0
    tries: int = 0


def measure(stack: Stack, rounds: int, answers: int, tries: int) -> dict[tuple[str, str], Seen]:
    """By policy and kind of answer."""
    seen: dict[tuple[str, str], Seen] = defaultdict(Seen)
    for _ in range(rounds):
        for settle in SETTLES:
            stack.apply(policy(settle, PLENTY))
            for kind, stream in KINDS.items():
                _load(stack, stream, answers, seen[settle, kind])
    for settle in SETTLES:
        stack.apply(policy(settle))
        for kind, stream in KINDS.items():
            done = overtake(stack.url, tries, stream=stream)
            seen[settle, kind].tries += tries
            seen[settle, kind].admitted += sum(each.second == 200 for each in done)
    return seen


def _load(stack: Stack, stream: bool, answers: int, seen: Seen) -> None:
    message = request(f"user-{uuid.uuid4().hex[:12]}", stream=stream)
    with wires(stack.url, 1) as (wire,):
        for number in range(-WARM_UP, answers):
            if number == 0:
                before = list(_cpu(stack))
            began = time.perf_counter()
            wire.send(message)
            status = wire.read_to_end()
            if number >= 0:
                seen.seconds.append(time.perf_counter() - began)
            wire.drain()
            if status != 200:
                raise RuntimeError(f"an answer of status {status}")
    seen.cpu += [(after - start) / answers for start, after in zip(before, _cpu(stack), strict=True)]


def _cpu(stack: Stack) -> Iterator[float]:
    """Seconds that Envoy has worked, where it is a process of the stack's own."""
    if isinstance(stack, EnvoyStack):
        yield cpu_seconds(stack.gateway.envoy.pid)


def tables(seen: dict[tuple[str, str], Seen]) -> Iterator[str]:
    """Markdown."""
    yield "| answers | settle | median | p99 | Envoy's CPU for one | let in after the end |"
    yield "|---|---|---|---|---|---|"
    for (settle, kind), one in sorted(seen.items(), key=lambda item: (item[0][1], item[0][0])):
        p99 = statistics.quantiles(one.seconds, n=100)[98]
        cpu = f"{statistics.median(one.cpu) * 1e6:.0f} µs" if one.cpu else "-"
        times = f"{statistics.median(one.seconds) * 1e3:.2f} ms | {p99 * 1e3:.2f} ms"
        yield f"| {kind} | {settle} | {times} | {cpu} | {one.admitted} of {one.tries} |"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stack", default="process", choices=STACKS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--answers", type=int, default=500, help="of each kind, in each round")
    parser.add_argument("--tries", type=int, default=1000, help="to ask again at once")
    options = parser.parse_args()
    with STACKS[options.stack]() as stack:
        table = tables(measure(stack, options.rounds, options.answers, options.tries))
        sys.stdout.write("\n".join(table) + "\n")


if __name__ == "__main__":
    main()
