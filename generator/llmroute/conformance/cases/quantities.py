"""Core: a quantity, and what uses it up."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from llmroute import names
from llmroute.conformance.case import ALL, MODEL, USER, Case, Profile, Step
from llmroute.conformance.features import Admission, Feature
from llmroute.conformance.policies import USERS, header, limit, per_user, route, rule, text
from llmroute.conformance.rows import MESSAGES, STREAM, message, ok, refused, reporting, saying, usage

_ECHO: Final = (8, 5, 10)
"""Prompt, completion, and a total that is not their sum."""
_OF_MODEL: Final = header(names.MODEL_HEADER, "Exact", MODEL)
_core = partial(Case, profile=Profile.CORE)


def filled(quantity: int, each: int) -> tuple[Step, ...]:
    """Answers until the quantity is used, and the refusal after them."""
    lefts = range(quantity, 0, -each)
    return (*(ok(each, left=left) for left in lefts), refused())


def cases() -> Iterator[Case]:
    """All about one limit."""
    yield from _original()
    yield from _rules()
    yield from _edges()
    yield from _replayed()


def _original() -> Iterator[Case]:
    """The end-to-end cases of the original LLMRoute that are about one route and its limits."""
    mine = partial(_core, proves="The original LLMRoute works as it was written.")
    of_model = text(route(rule(limit(10), headers=[_OF_MODEL, *USERS])))
    one = (ok(10), refused(), *[ok(1000, 0, model="other")] * 3)
    yield mine("quickstart", "a quantity for each user of a model", policy=of_model, steps=one, sources=("Quickstart",))
    unknown = header(names.MODEL_HEADER, "Exact", names.UNKNOWN)
    policy = text(route(rule(limit(10), headers=[_OF_MODEL, *USERS]), rule(limit(0), headers=[unknown])))
    steps: tuple[Step, ...] = (refused(body=b"no JSON"), refused(model=""), ok(9), ok(9), refused())
    title = "a model that cannot be read is refused at once"
    yield mine("block-unknown", title, policy=policy, steps=steps, subjects=(USER,), sources=("BlockUnknown",))
    policy = text(route(rule(limit(10), headers=[header(names.MODEL_HEADER, "Distinct"), *USERS])))
    steps = tuple(step for model in "abc" for step in (ok(10, model=model), refused(model=model)))
    yield mine("model-name-distinct", "each model has a counter", policy=policy, steps=steps,
               subjects=(("model", "user"),), sources=("ModelNameDistinct",))  # fmt: skip
    policy = text(route(rule(limit(10), headers=[header(names.USER_HEADER, "Exact", "user1")])))
    first: dict[str, Any] = {"headers": {names.USER_HEADER: "user1"}}
    steps = (ok(10, **first), refused(**first), *[ok(10, 0, headers={names.USER_HEADER: "user2"})] * 3)
    title = "one user is limited, another is not"
    yield mine("header-match-exact", title, policy=policy, steps=steps, subjects=(ALL,), sources=("HeaderMatchExact",))
    policy = text(route(rule(limit(10, "Request", "Minute"), limit(500, unit="Minute"), headers=USERS)))
    yield mine("multiple-limits-tokens", "tokens refuse alone, with requests to spare", policy=policy,
               steps=(ok(500, 1, 500), refused(1, 0)), subjects=(USER, USER), sources=("MultipleLimits",))  # fmt: skip
    steps = (*[ok(1, 1, 1)] * 10, refused(1, 0, by="requests"))
    yield mine("multiple-limits-requests", "requests refuse alone, with tokens to spare", policy=policy, steps=steps,
               subjects=(USER, USER), sources=("MultipleLimits",))  # fmt: skip


def _rules() -> Iterator[Case]:
    """The admission rule itself, which every other case is read by."""
    proves = "The gateway admits by the rule that its adapter declares."
    steps: tuple[Step, ...] = (ok(10), ok(10), refused())
    yield _core("admits-below", "20 of 20 are used: refused", policy=per_user(20), steps=steps, proves=proves,
                admission=Admission.BELOW)  # fmt: skip
    yield _core("admits-up-to", "20 of 20 are used: admitted; 30 of 20: refused", policy=per_user(20), proves=proves,
                steps=(ok(10), *steps), admission=Admission.UP_TO)  # fmt: skip


def _edges() -> Iterator[Case]:
    mine = partial(_core, proves="A quantity is exact: the request that crosses it completes, the next is refused.")
    yield mine(
        "exact-quantity", "9 of 10 admits, 10 of 10 does not", policy=per_user(10), steps=(ok(9), ok(1), refused())
    )
    yield mine("quantity-of-1", "1 of 1 is used: refused", policy=per_user(1), steps=(ok(1), refused()))
    yield mine("last-token", "99 of 100 used: 1 remains, and a request of 500 passes", policy=per_user(100),
               steps=(ok(99, left=100), ok(500, left=1), refused()))  # fmt: skip
    yield mine("quantity-of-0", "a quantity of 0 admits nothing", policy=per_user(0), steps=(refused(), refused()),
               subjects=(), sources=("HI-04",))  # fmt: skip
    yield mine("no-requests", "0 requests admit nothing", policy=per_user(0, kind="Request"),
               steps=(refused(1, by="requests"),), sources=("HI-04", "TZ-09"))  # fmt: skip
    yield mine("refused-again", "a refusal costs nothing, however often", policy=per_user(10),
               steps=(ok(10), *[refused()] * 5))  # fmt: skip
    yield mine("long-refusal", "a refused request of 200 KB costs nothing either", policy=per_user(10),
               steps=(ok(10), refused(body={"messages": [{"role": "user", "content": "x" * 200_000}]})))  # fmt: skip


def _replayed() -> Iterator[Case]:
    """Cases of other gateways, read for one that admits while less than the quantity is used."""

    def replay(name: str, title: str, policy: str, *steps: Step, **more: object) -> Case:
        proves = "What is used is the sum of what answers reported."
        return Case(name, title, Profile.CORE, policy, steps, proves, sources=(name,), **more)  # type: ignore[arg-type]

    told = frozenset({Feature.TELLS})
    yield replay("KU-06", "50 in streams of 10", per_user(50), *[ok(10, body=STREAM)] * 5, refused(body=STREAM))
    yield replay("KU-14", "without reservation: refused once used up", per_user(200), ok(150), ok(150), refused())
    yield replay("KU-16", "usage of OpenAI chat", per_user(25), *[ok((5, 5, 10))] * 3, refused())
    yield replay("AP-01", "30 for answers of 10 whose total is not the sum", per_user(30), *[ok(_ECHO)] * 3, refused())
    yield replay("AP-03", "remaining before the answer's own cost", per_user(30), *filled(30, 10), needs=told)
    completions = [ok(_ECHO, 5, left=left) for left in (20, 15, 10, 5)]
    yield replay("AP-04", "completion tokens alone", per_user(20, token="Completion"), *completions, refused())
    yield replay("HI-09", "1001 of 1000 are used: the refusal's words", per_user(1000), ok(1001),
                 refused(says="limit 1000, used up"), needs=frozenset({Feature.REFUSALS}))  # fmt: skip
    yield replay("WS-04", "headers of limit, remaining and reset", per_user(100, unit="Hour"), ok(15, left=100),
                 ok(15, left=85, told={"x-ratelimit-limit-tokens": "100"}), needs=told)  # fmt: skip
    yield replay("WS-08", "an answer of no tokens is free", per_user(10, unit="Hour"), ok(5, left=10), ok(0, left=5),
                 ok(5, left=5), refused())  # fmt: skip
    yield replay("WS-13", "two paths of a provider share a counter", per_user(75), ok(message(50, 25), 75, left=75, **MESSAGES),
                 refused(**MESSAGES), refused())  # fmt: skip
    yield replay("WS-15", "75 of 1000 leave 925", per_user(1000), ok(75, left=1000), ok(1, left=925), needs=told)
    yield replay("WS-21", "answers of no tokens do not use up 2", per_user(2), *[ok(0)] * 3, ok(1), ok(1), refused())
    yield replay("LL-04", "without reservation 50 are charged", per_user(1000), ok(50, left=1000), ok(1, left=950),
                 needs=told)  # fmt: skip
    yield replay("AG-06", "about 35 of 100 a minute", per_user(100, unit="Minute"), *[ok(35)] * 3, refused())
    yield replay("NX-01", "38 of 100 for each call", per_user(100), *[ok((8, 30, 38))] * 3,
                 refused(says="Rate limit reached"), needs=frozenset({Feature.REFUSALS}))  # fmt: skip
    yield replay("NX-03", "around the quantity", per_user(100), ok(100), refused(), ok(101, user="b"), refused(user="b"),
                 ok(99, user="c"), ok(1, left=1, user="c"))  # fmt: skip
    yield replay("NX-06", "8 of 50 for each call", per_user(50), *[ok(8)] * 7, refused())
    yield replay("TZ-14", "0, the whole quantity, and more than it", per_user(75), ok(0), ok(75), refused(),
                 ok(76, user="b"), refused(user="b"))  # fmt: skip
    yield replay("N-08", "an answer larger than what is left", per_user(10), ok(9), ok(500, left=1), refused())
    logprobs = {
        "choices": [
            saying(logprobs={"content": [{"token": "usage", "logprob": -0.1, "bytes": [1], "top_logprobs": []}]})
        ]
        * 3,
        "usage": usage(21),
    }
    several = ok(reporting(logprobs), 21, body={"n": 3, "logprobs": True})
    yield replay("N-18", "several answers with logprobs are charged once", per_user(30), several, several,
                 refused(body={"n": 3, "logprobs": True}))  # fmt: skip
