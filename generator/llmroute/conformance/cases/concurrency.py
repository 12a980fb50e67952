"""Concurrency: requests at one time, and how far past a limit they go: never past the declared bound.

Each stays in flight until all have arrived or were refused. A gateway that admits while less than the quantity is used lets all
of them in, and what is used then stays below quantity and one answer for each in flight.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final

from llmroute.conformance.case import Case, Profile, Request, Step, Together
from llmroute.conformance.features import Admission
from llmroute.conformance.policies import header, limit, per_user, route, rule, text
from llmroute.conformance.rows import STREAM, delta, ok, passed, refused, script_of, streaming, usage
from llmroute.conformance.upstream import Script

_TAG: Final = "x-tag"
_together = partial(Case, profile=Profile.CONCURRENCY)


@dataclass(frozen=True)
class _Crowd:
    """So many requests of so many tokens against a quantity, and how many are admitted."""

    id: str
    title: str
    quantity: int
    count: int
    tokens: int
    admitted: int
    kind: str = "Token"


_CROWDS: Final = (
    _Crowd("KU-15", "without reservation three at one time pass", 50, 3, 20, 3),
    _Crowd("TZ-06", "10 requests at one time against 5: exactly 5", 5, 10, 7, 5, "Request"),
    _Crowd("TZ-08", "100 at one time, far below the quantity", 100_000, 100, 7, 100),
    _Crowd("LL-01", "5 at one time against 100; post-paid admits all, and the sum is bounded", 100, 5, 50, 5),
    _Crowd("LL-05", "3 at one time, below the quantity", 1000, 3, 110, 3),
    _Crowd("LL-09", "10 requests at one time against 2: exactly 2", 2, 10, 7, 2, "Request"),
    _Crowd("KU-11", "three at one time, 50 each, against 100; post-paid admits all", 100, 3, 50, 3),
    _Crowd("LL-08", "5 at one time, 40 each, against 100; post-paid admits all", 100, 5, 40, 5),
    _Crowd("TZ-13", "50 at one time, 5 each, against 100; post-paid admits all", 100, 50, 5, 50),
)


def cases() -> Iterator[Case]:
    """All about requests at one time."""
    yield from map(_of, _CROWDS)
    tags = tuple(Request(headers=((_TAG, f"{name}-{{user}}"),)) for name in "aba")
    step = Together(3, Script(usage=usage(7)), (3, 3), (1,), requests=tags)
    policy = text(route(rule(limit(2, "Request", "Day"), headers=[header(_TAG, "Distinct")])))
    over = refused(1, by="requests", headers={_TAG: "a-{user}"})
    yield _together("TZ-07", "at one time with different tags", policy=policy, steps=(step, over), subjects=((_TAG,),),
                    proves="Requests at one time are counted by subject.", sources=("TZ-07",))  # fmt: skip
    steps: tuple[Step, ...] = tuple(step for user in "abc" for step in _short_of_the_bound(user))
    yield _together("N-09", "64 at one time when 999 of 1,000 are used: one token short of the bound", policy=per_user(1000), steps=steps,
                    proves="Overshoot is no more than quantity and one answer for each in flight.", sources=("N-09",))  # fmt: skip
    for n in (1, 2):
        steps = tuple(Together(8, Script(usage=usage(10)), (8, 8), (10,)) for _ in range(n))
        yield _together(f"waves-{n}", f"{n} of waves of 8, each charged in full, and then none", policy=per_user(80 * n - 1), steps=(*steps, refused()),
                        proves="What was in flight is charged, all of it.")  # fmt: skip
    users = tuple(Request(user=f"u{n}") for n in range(10))
    each = Together(40, Script(usage=usage(25)), (40, 40), (25,), requests=users)
    yield _together("many-users", "ten users, four requests each, at one time: each pays its own", policy=per_user(100),
                    steps=(each, *(refused(user=f"u{n}") for n in range(10))), proves="Counters of users at one time do not mix.")  # fmt: skip
    streams = Together(
        20,
        Script(usage=usage(10)),
        (20, 20),
        (10,),
        requests=(Request(body={"stream": True, "stream_options": {"include_usage": True}}),),
    )
    yield _together("streams-together", "20 streams at one time are charged each", policy=per_user(200), steps=(streams, refused()),
                    proves="What was in flight is charged, all of it.")  # fmt: skip
    yield from _held()
    bound = per_user(10_000, spec={"admission": {"maxInFlight": 4}})
    most = Together(32, Script(usage=usage(7)), (4, 5), (7,), status=503)
    yield _together("max-in-flight", "32 at one time where 4 are allowed: 4, and one that a second thread lets in", policy=bound, steps=(most, ok(7)),
                    proves="The bound of requests in flight holds, so that overshoot is a number.")  # fmt: skip


def _held() -> Iterator[Case]:
    """Of gateways that hold what a request may take: requests say how long their answers may be, and mostly keep to it."""
    held = partial(_together, admission=Admission.HELD)
    answer = {"max_tokens": 99}
    for how, body in (("json", answer), ("stream", answer | STREAM)):
        # A prompt may be held for at up to ten tokens: eleven would take 1,100, and fewer than nine leave room.
        crowd = Together(64, script_of((1, 99, 100)), (9, 10), (100,), requests=(Request(body=body),))
        yield held(f"held-{how}", f"64 at one time, of 100 as they say, against 1,000: no more than fit ({how})", policy=per_user(1000),
                   steps=(crowd,), proves="Requests at one time that keep to what they say take no more than the quantity.")  # fmt: skip
    most = {"max_tokens": 900}
    short = ok((1, 9, 10), body=most)
    yield held("held-short", "answers of 10 that might have been of 900, against 1,000: what was not taken is given back",
               policy=per_user(1000), steps=(*[short] * 5, refused(body=most | {"max_tokens": 960})),
               proves="A hold ends with its answer.")  # fmt: skip
    failed = passed(500, Script(status=500), body=most)
    yield held("held-failed", "requests that fail might have taken 900, against 1,000: all is given back", policy=per_user(1000),
               steps=(failed, failed, ok((1, 9, 10), body=most)), proves="A hold ends with its answer.")  # fmt: skip
    failing = streaming(delta("x"), {"error": {"message": "overloaded", "type": "server_error", "code": 503}})
    steps = (ok((1, 399, 400), body={"max_tokens": 399}), ok(failing, 0, body=STREAM | {"max_tokens": 500}),
             refused(body={"max_tokens": 700}))  # fmt: skip
    yield held("held-failing-stream", "a stream that might have taken 500 fails after a delta, with 400 of 1,000 used: those stay used",
               policy=per_user(1000), steps=steps, subjects=(), proves="A hold ends once.")  # fmt: skip
    yield held("held-too-much", "an answer longer than was asked for is charged in full", policy=per_user(1000),
               steps=(ok((1, 1199, 1200), body=answer), refused(body=answer)),
               proves="What is charged is what the answer took, not what was held.")  # fmt: skip


def _short_of_the_bound(user: str) -> tuple[Step, ...]:
    """One token is left, and 64 requests take 100 each."""
    crowd = Together(64, Script(usage=usage(100)), (64, 64), (100,), requests=(Request(user=user),))
    return (ok(999, user=user), crowd, refused(user=user))


def _of(crowd: _Crowd) -> Case:
    """Of requests exactly the quantity is admitted; of tokens all that came before the first answer ended."""
    requests = crowd.kind == "Request"
    # The service counts requests that it refuses, too.
    charges, over = ((1,), (1,)) if requests else ((crowd.tokens,), ())
    step = Together(
        crowd.count, Script(usage=usage(crowd.tokens)), (crowd.admitted, crowd.admitted), charges, refused=over
    )
    used = crowd.count if requests else crowd.admitted * crowd.tokens
    by = f"{crowd.kind.lower()}s"
    then: tuple[Step, ...] = (refused(*over, by=by),) if used >= crowd.quantity else (ok(crowd.tokens),)
    proves = "Requests at one time go no further past a limit than the declared bound."
    return _together(crowd.id, crowd.title, policy=per_user(crowd.quantity, kind=crowd.kind), steps=(step, *then), proves=proves,
                     sources=(crowd.id,))  # fmt: skip
