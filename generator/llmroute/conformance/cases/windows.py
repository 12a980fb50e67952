"""Core: windows, on a clock that a case can set: nobody waits for a minute to end."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from llmroute.conformance.case import USER, Case, Pass, Profile, Step
from llmroute.conformance.policies import USERS, limit, per_user, route, rule, text
from llmroute.conformance.rows import STREAM, ok, refused

_MINUTE: Final = 60
_DAY: Final = 86_400
_NEXT: Final = Pass(window=_MINUTE)
_SECOND: Final = Pass(window=1)


def _fill(quantity: int, each: int, **more: Any) -> tuple[Step, ...]:
    """Use it up, and be refused."""
    return (*[ok(each, **more)] * -(-quantity // each), refused(**more))


def cases() -> Iterator[Case]:
    """All about windows."""
    made = partial(Case, profile=Profile.CORE, proves="A window is fixed: it ends, and the next one begins at 0.")
    for name, quantity in (("KU-02", 50), ("KU-03", 100)):
        for how, body in (("json", {}), ("stream", STREAM)):
            cycle = _fill(quantity, 10, body=body)
            title = f"{quantity} a minute used up, and again in the next minute ({how})"
            yield made(f"{name}-window-{how}", title, policy=per_user(quantity, unit="Minute"), steps=(*cycle, _NEXT, *cycle),
                       sources=(name,))  # fmt: skip
    cycles = tuple(step for n in range(10) for step in (*_fill(50, 10, body=STREAM if n % 2 else {}), _NEXT))
    yield made("KU-07", "ten windows are alike, streams or not", policy=per_user(50, unit="Minute"), steps=cycles,
               sources=("KU-07",))  # fmt: skip
    steps: tuple[Step, ...] = (ok(5, left=5), refused(), _NEXT, ok(1, left=5), ok(1, left=4))
    yield made("WS-07", "a window begins anew", policy=per_user(5, unit="Minute"), steps=steps, sources=("WS-07",))
    steps = (ok(50), refused(), _SECOND, ok(50), refused())
    yield made(
        "NX-04", "a short window begins anew", policy=per_user(50, unit="Second"), steps=steps, sources=("NX-04",)
    )
    three = (*[ok(7, 1)] * 3, refused(1, by="requests"))
    yield made("HE-01", "3 requests of each window", policy=per_user(3, kind="Request", unit="Second"),
               steps=(*three, _SECOND, *three), sources=("HE-01",))  # fmt: skip
    yield _short_and_long()
    burst = _fill(100, 50)
    steps = (Pass(59.9, _MINUTE), *burst, Pass(0.2), *burst)
    yield made("N-11", "two bursts around a window's end are twice the quantity, and no more",
               policy=per_user(100, unit="Minute"), steps=steps, sources=("N-11",))  # fmt: skip
    steps = (Pass(1.0, _DAY), ok(10), refused(told={"retry-after": str(_DAY - 1)}), Pass(float(_DAY - 2)), refused(told={"retry-after": "1"}),
             Pass(1.0), ok(10))  # fmt: skip
    yield made("end-of-a-day", "refused to the last second of a day, and told so", policy=per_user(10), steps=steps)


def _short_and_long() -> Case:
    """A minute's counters begin anew, a day's go on: the runner keeps books by the limits' units."""
    limits = (
        limit(15, "Request", "Minute"),
        limit(1500, "Request", "Day"),
        limit(1000, unit="Minute"),
        limit(1500, unit="Day"),
    )
    steps = (Pass(window=_DAY), ok(1000, 1, 1, 1000, 1000), refused(1, 1, says="per minute"), _NEXT, ok(500, 1, 1, 500, 500),
             refused(1, 1, says="per day"))  # fmt: skip
    return Case("BF-01", "requests and tokens, short and long", Profile.CORE, text(route(rule(*limits, headers=USERS))), steps,
                "Windows of different lengths end each in their own time.", (USER,) * 4, sources=("BF-01",))  # fmt: skip
