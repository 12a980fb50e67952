"""Cases of other gateways about windows, on a clock that the test sets: nobody waits for a minute to end.

Read for a gateway that admits while less than the quantity is used; ``docs/cases.md`` lists all cases.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

import pytest

from e2e.conftest import Serve
from e2e.rows import STREAM, USER, USERS, Row, ok, per_user, play, refused
from e2e.stacks import Stack
from e2e.stacks.local import LocalStack
from tests.policies import limit, route, rule, text

MINUTE: Final = 60


@pytest.fixture
def clock(stack: Stack) -> LocalStack:
    """The stack whose time stands still until a test moves it."""
    if not isinstance(stack, LocalStack):
        pytest.skip("missing capability: a rate limit service whose clock a test can set (--stack local has one)")
    return stack


def next_window(clock: LocalStack, seconds: int, since: float = 0.0) -> None:
    """On to the beginning of the next window of this length, or to so many seconds from there."""
    clock.now = (clock.now // seconds + 1) * seconds + since


def fill(quantity: int, each: int, **more: Any) -> list[Row]:
    """Use it up, and be refused."""
    return [*[ok(each, **more)] * -(-quantity // each), refused(**more)]


@pytest.mark.parametrize("quantity", [50, 100], ids=["KU-02", "KU-03"])
@pytest.mark.parametrize("body", [{}, STREAM], ids=["json", "stream"])
def test_a_used_up_window_ends(serve: Serve, clock: LocalStack, quantity: int, body: dict[str, Any]) -> None:
    """KU-02, KU-03: 200 until the sum is the quantity, 429, and after the window 200 again."""
    client = serve(per_user(quantity, unit="Minute"))
    for _ in range(2):
        play(client, fill(quantity, 10, body=body), [USER])
        next_window(clock, MINUTE)


def test_ku07(serve: Serve, clock: LocalStack) -> None:
    """KU-07: ten windows, every other one of streams, are alike."""
    client = serve(per_user(50, unit="Minute"))
    for cycle in range(10):
        play(client, fill(50, 10, body=STREAM if cycle % 2 else {}), [USER])
        next_window(clock, MINUTE)


def test_ws07(serve: Serve, clock: LocalStack) -> None:
    """WS-07: 5 of 5, then none; in the next window 5 are left, and 4 after 1."""
    client = serve(per_user(5, unit="Minute"))
    play(client, [ok(5, left=5), refused()], [USER])
    next_window(clock, MINUTE)
    play(client, [ok(1, left=5), ok(1, left=4)], [USER])


def test_nx04(serve: Serve, clock: LocalStack) -> None:
    """NX-04: 50 in a window, 429, and 50 in the next one."""
    client = serve(per_user(50, unit="Second"))
    play(client, [ok(50), refused()], [USER])
    next_window(clock, 1)
    play(client, [ok(50), refused()], [USER])


def test_he01(serve: Serve, clock: LocalStack) -> None:
    """HE-01: three requests of each window, the fourth is told when to come back."""
    client = serve(per_user(3, kind="Request", unit="Second"))
    rows = [*[ok(7, 1)] * 3, refused(1, by="requests")]
    play(client, rows, [USER])
    next_window(clock, 1)
    play(client, rows, [USER])


def test_bf01(serve: Serve, clock: LocalStack) -> None:
    """BF-01: requests and tokens of a minute and of a day: those of the minute begin anew, those of the day go on."""
    limits = [
        limit(15, "Request", "Minute"),
        limit(1500, "Request", "Day"),
        limit(1000, unit="Minute"),
        limit(1500, unit="Day"),
    ]
    client = serve(text(route(rule(*limits, headers=USERS))))
    clock.now = clock.now // 86_400 * 86_400  # no day ends in between
    booked = play(client, [ok(1000, 1, 1, 1000, 1000), refused(1, 1, says="per minute")], [USER] * 4)
    next_window(clock, MINUTE)
    of_the_day = Counter({key: n for key, n in booked.items() if key[0] in {1, 3}})
    play(client, [ok(500, 1, 1, 500, 500), refused(1, 1, says="per day")], [USER] * 4, of_the_day)


def test_n11(serve: Serve, clock: LocalStack) -> None:
    """N-11: a burst just before a window's end and one just after it are twice the quantity, and no more."""
    client = serve(per_user(100, unit="Minute"))
    next_window(clock, MINUTE, since=59.9)
    play(client, fill(100, 50), [USER])
    clock.now += 0.2
    play(client, fill(100, 50), [USER])
