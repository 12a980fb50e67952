"""What a soak says: lines for the terminal, and ``docs/reliability.md``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from e2e.soak.driver import Soaked
from e2e.soak.traffic import DEEDS
from llmroute.conformance.case import REFUSED
from tools.pins import pins

_HEAD = """\
# Reliability

`make soak` drives Envoy Gateway with the real rate limit service and a Redis that writes to disk, on this machine, for ten
minutes, as many users would: JSON and streams, clients that leave, upstreams that fail, and a part that is killed now and
then. In the end every counter of every limit is compared with the ledger of the upstream, which knows for each request what it
reported and how much of it went out. One token of difference fails the run, and so does a refused request that reached the upstream,
one that was refused with tokens left, a status that is none of what is expected, or a user further past the limit than
[promised](overshoot.md).

The policy has limits for all, for each user, for each model by prompt and by completion, and for each user and model.

## The run
"""
_TAIL = """\

## What it does not show

Before a part is killed, what is in flight ends; then it is killed as by a crash, and clients go on as soon as it serves. What a
kill costs while answers are under way is bounded, and tested part by part: [Operations](operations.md). Clients and upstream run
in one process beside the gateway, so the rate is theirs, not the gateway's; [Performance](performance.md) has that.

The same for another time, or with the same traffic again: `make soak ARGS="--minutes 1 --seed 1"`. `e2e/test_soak.py` holds a short
one on every stack that runs on this machine.
"""


def summary(soaked: Soaked) -> Iterator[str]:
    """Lines of a table: what was done, and what came of it."""
    statuses = soaked.seen.statuses
    refusals = sum(n for (_, status), n in statuses.items() if status == REFUSED)
    plan = soaked.plan
    yield "| what | |"
    yield "|---|---|"
    yield f"| minutes, users, clients at one time | {plan.seconds / 60:g}, {plan.users}, {plan.clients} |"
    yield f"| requests | {sum(statuses.values()):,} |"
    yield f"| served by the upstream | {soaked.served:,} |"
    yield f"| refused with 429 | {refusals:,} |"
    yield f"| tokens owed by the ledger | {soaked.tokens:,} |"
    yield f"| parts killed | {len(soaked.restarts)} |"
    yield f"| counters compared | {soaked.counters:,} |"
    yield f"| **counters that differ** | **{len(soaked.differences)}** |"
    yield f"| refused and yet served | {len(soaked.leaked)} |"
    yield f"| refused with tokens left | {len(soaked.early)} |"
    yield f"| other answers than expected | {len(soaked.seen.wrong)} |"
    yield f"| tokens past a user's limit of {plan.quantity:,}: worst, and bound | {soaked.past:,}, {soaked.bound:,} |"


def _deeds(soaked: Soaked) -> Iterator[str]:
    """How often each was done."""
    yield "| what clients did | served | refused |"
    yield "|---|---|---|"
    for deed in DEEDS:
        of_deed = {status: n for (name, status), n in soaked.seen.statuses.items() if name == deed.name}
        yield f"| {deed.name} | {of_deed.get(deed.status, 0):,} | {of_deed.get(REFUSED, 0):,} |"


def _restarts(soaked: Soaked) -> Iterator[str]:
    """How long each part was away."""
    took = defaultdict[str, list[float]](list)
    for each in soaked.restarts:
        took[each.part].append(each.took)
    yield "| part that was killed | times | seconds until it served again, at most |"
    yield "|---|---|---|"
    for part, seconds in took.items():
        yield f"| {part} | {len(seconds)} | {max(seconds):.1f} |"


def page(soaked: Soaked) -> str:
    """The document."""
    versions = pins()
    ground = f"Envoy Gateway {versions['ENVOY_GATEWAY']}, Envoy {versions['ENVOY']}, 2 cores, seed {soaked.plan.seed}."
    tables = "\n\n".join("\n".join(lines) for lines in (summary(soaked), _deeds(soaked), _restarts(soaked)))
    return f"{_HEAD}\n{ground}\n\n{tables}\n{_TAIL}"
