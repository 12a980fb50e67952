"""The matrix of gateways and loads, measured by turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from e2e.client import wait_for
from e2e.cost.gateways import RATELIMIT, Gateway, Row, Store
from e2e.cost.load import DriveError, drive
from e2e.cost.loads import Load
from e2e.cost.raw import Sample
from tools.proc import cpu_seconds

Say = Callable[[str], None]
"""Takes a line of progress."""

_LEAST: Final = 8
"""Requests of a measurement."""


def matrix(
    gateways: Mapping[Row, Gateway], loads: Sequence[Load], repetitions: int, share: float, say: Say
) -> Iterator[Sample]:
    """Measure every load on every gateway, ``repetitions`` times after a first that warms up and is not told.

    In each repetition all gateways have a load one after the other, each time beginning with the next one: what the machine does
    beside falls on all alike. ``share``: of the loads' requests.

    Raises:
        DriveError: a gateway answers otherwise than it should, or charges it otherwise.
    """
    rows = list(gateways)
    for repetition in range(repetitions + 1):
        begun = time.monotonic()
        for number, load in enumerate(loads):
            first = (repetition + number) % len(rows)
            for row in rows[first:] + rows[:first]:
                requests = max(load.connections, round(load.requests * share * row.share), _LEAST)
                if not repetition:
                    requests = max(load.connections, requests // 4)
                users = f"{row.name}-{repetition}-{number}"
                sample = measured(gateways[row], row, load, requests, users)
                if repetition:
                    yield sample
        say(f"repetition {repetition} of {repetitions}: {time.monotonic() - begun:.0f} s")


def measured(gateway: Gateway, row: Row, load: Load, requests: int, users: str) -> Sample:
    """One load on one gateway. The CPU time is read when all is charged: an Envoy has made its calls by then.

    Raises:
        DriveError: see ``matrix``.
    """
    charge, what = row.charges(load), f"{row.title}, {load.name}"
    counts = gateway.counts()
    cpu = {part: cpu_seconds(pid) for part, pid in gateway.parts.items()}
    driven = drive(gateway.url, load, requests, users)
    if RATELIMIT in gateway.parts:
        calls = counts.calls + requests * (2 if charge else 1)
        wait_for(lambda: gateway.calls() >= calls)
    elif gateway.store:
        _check(gateway.store, users, requests, charge, what)
    spent = {part: (cpu_seconds(pid) - cpu[part]) / requests * 1000 for part, pid in gateway.parts.items()}
    after = gateway.counts()
    if gateway.store:
        _check(gateway.store, users, requests, charge, what)
    asked = 1 if gateway.store else 0
    return Sample(
        gateway=row.name,
        load=load.name,
        requests=requests,
        rate=requests / driven.seconds,
        latency=driven.latency,
        first=driven.first,
        cpu=spent,
        calls=(after.calls - counts.calls) / requests,
        commands=(after.commands - counts.commands - asked) / requests,
        reads=(after.reads - counts.reads - asked) / requests,
    )


def _check(store: Store, users: str, requests: int, charge: int | None, what: str) -> None:
    """A gateway that does not charge is not measured at what it is there for."""
    expected = requests * (charge or 0)
    if not wait_for(lambda: store.charged(users) == expected):
        charged = store.charged(users)
        raise DriveError(f"{what}: {requests} answers are charged {charged} tokens, not {expected}")
