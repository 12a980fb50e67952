"""Core: several limits on one request, and limits of backends and routes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from llmroute import names
from llmroute.conformance.case import ALL, MODEL, USER, Case, Profile, Send
from llmroute.conformance.cases.users import day, policy, replay, tag, to, users
from llmroute.conformance.policies import header, limit, route, rule, text
from llmroute.conformance.rows import denied, ok, refused


def cases() -> Iterator[Case]:
    """All about more than one limit."""
    yield from _levels()
    yield from _backends()


def _levels() -> Iterator[Case]:
    made = partial(
        replay, proves="Every limit that matches holds; a request that one of them refuses costs the others nothing."
    )
    rules = [users(limit(3000, unit="Minute")), rule(limit(100, unit="Minute"))]
    yield made(
        "KU-22",
        "a limit of a user and one of all on one request",
        policy(*rules),
        [ok(120, 120, 120), refused()],
        (USER, ALL),
    )
    vip = header("x-api-key", "Exact", "vip-key")
    rules = [rule(limit(100, unit="Minute")), rule(limit(25, unit="Minute"), headers=[vip])]
    key = tag("x-api-key", "vip-key")
    rows = [*[ok(10, 10, 10, **key)] * 3, refused(**key)]
    yield made("HI-01", "a limit of all and a smaller one of a key", policy(*rules), rows, (ALL, ALL))
    other = ok(10, 10, 0, left=70, **tag("x-api-key", "other"))
    yield made("HI-02", "a refused request costs the limit of all nothing", policy(*rules), [*rows, other], (ALL, ALL))
    rules = [users(day(1000), day(1000, token="Prompt"), day(1000, token="Completion"))]
    rows = [ok((27, 10, 37), 37, 27, 10)] * 2
    yield made("KU-05", "the total is prompt and completion", policy(*rules), rows, (USER,) * 3)
    rules = [users(day(10, token="Prompt"), day(20))]
    rows = [ok((5, 3, 8), 5, 8), ok((5, 3, 8), 5, 8), refused()]
    yield made("WS-01", "prompt and total side by side", policy(*rules), rows, (USER,) * 2)
    rules = [users(day(5, token="Prompt"), day(10, token="Completion"), day(15))]
    rows = [ok((5, 5, 10), 5, 5, 10), refused(reports=(1, 1, 2))]
    yield made("WS-02", "prompt, completion and total side by side", policy(*rules), rows, (USER,) * 3)
    rules = [users(day(10, token="Prompt"), day(20, token="Completion"), day(25))]
    rows = [ok((8, 15, 23), 8, 15, 23), ok((3, 5, 8), 3, 5, 8, left=2), refused()]
    yield made("WS-06", "the tightest of several is told", policy(*rules), rows, (USER,) * 3)
    for kind, tokens in (("Total", 20), ("Prompt", 4), ("Completion", 5)):
        rows = [ok((4, 5, 20), tokens), refused()]
        title = f"of three kinds only {kind.lower()} tokens are limited, and refuse"
        yield made(f"WS-12-{kind}", title, policy(users(day(tokens, token=kind))), rows)
    rules = [users(limit(10, unit="Minute"), limit(1000))]
    yield made(
        "WS-29",
        "of a minute and an hour the tighter answers",
        policy(*rules),
        [ok(10, 10, 10, left=10), refused()],
        (USER,) * 2,
    )
    rows = [ok(20, 20, 20), ok(100, 100, 100, user="x"), refused()]
    yield made(
        "TZ-12", "refused by one limit, free for the other", policy(users(day(50)), rule(day(100))), rows, (USER, ALL)
    )
    of_model = rule(day(60), headers=[header(names.MODEL_HEADER, "Exact", MODEL)])
    rows = [ok(30), ok(30, user="b"), refused(), refused(user="b")]
    yield made("LL-12", "two keys share a model's limit", policy(of_model), rows, (ALL,))
    shadow = policy(users(day(250, shadow=True)))
    yield made("AG-08", "a budget that is only watched", shadow, [*[ok(101)] * 4])
    yield _four_levels()


def _four_levels() -> Case:
    of_model = header(names.MODEL_HEADER, "Distinct")
    of_user = header(names.USER_HEADER, "Distinct")
    rules = [
        rule(day(400)),
        rule(day(300), headers=[of_model]),
        users(day(200)),
        rule(day(100), headers=[of_model, of_user]),
    ]

    def at(use: int, user: str, model: str) -> Send:
        return ok(use, use, use, use, use, user=user, model=model)

    rows = (at(98, "1", "a"), at(98, "1", "a"), refused(user="1", model="a"), at(48, "1", "b"), refused(user="1", model="b"),
            at(98, "2", "a"), at(48, "3", "a"), refused(user="4", model="a"), at(48, "5", "c"), refused(user="6", model="d"))  # fmt: skip
    return Case("NX-02", "four levels", Profile.CORE, policy(*rules), rows, "Each of four levels refuses alone.",
                (ALL, ("model",), USER, ("model", "user")), sources=("NX-02",))  # fmt: skip


def _backends() -> Iterator[Case]:
    made = partial(replay, proves="Backends and routes are strangers: what one uses is not charged to another.")
    both = (USER, USER)
    rules = {"openai": [users(day(100))], "selfhosted": [users(day(1000))]}
    rows = [ok(100, 100, 0, **to("openai")), refused(**to("openai")), ok(999, 0, 999, **to("selfhosted")),
            ok(1, 0, 1, **to("selfhosted")), refused(**to("selfhosted")), denied(404)]  # fmt: skip
    yield Case("multiple-backends", "counters of backends are separate", Profile.CORE, policy(**rules), tuple(rows),
               "The original LLMRoute works as it was written.", both, sources=("MultipleBackends",))  # fmt: skip
    isolated = {"a": [users(day(30))], "b": [users(day(40))]}
    on_a = [*[ok(10, 10, 0, **to("a"))] * 3, refused(**to("a"))]
    on_b = [*[ok(10, 0, 10, **to("b"))] * 4, refused(**to("b"))]
    one, two = route(name="one", a=isolated["a"]), route(name="two", b=isolated["b"])
    yield made("AP-05", "two routes are strangers", text(one, two), [*on_a, *on_b, refused(**to("a"))], both)
    yield made(
        "WS-11",
        "one provider is used up, the other is not",
        policy(**isolated),
        [*on_a, ok(10, 0, 10, **to("b"))],
        both,
    )
    rules = {"gpt-4": [users(day(50))], "gpt-3": [users(day(20))]}
    rows = [*[ok(10, 10, 0, **to("gpt-4"))] * 5, refused(**to("gpt-4")), *[ok(10, 0, 10, **to("gpt-3"))] * 2,
            refused(**to("gpt-3"))]  # fmt: skip
    yield made("AP-08", "limits of instances", policy(**rules), rows, both)
    dotted = {"gpt.4.o": [users(day(20))], "gpt": [users(day(30))]}
    rows = [*[ok(10, 10, 0, **to("gpt.4.o"))] * 2, refused(**to("gpt.4.o")), ok(10, 0, 10, **to("gpt"))]
    yield made("AP-14", "a name with dots is a name", policy(**dotted), rows, both)
    five = {"a": [users(limit(5))], "b": [users(limit(5))]}
    rows = [ok(3, 3, 0, **to("a")), ok(2, 2, 0, **to("a")), refused(**to("a")), ok(6, 0, 6, **to("b"))]
    yield made("WS-05", "quantities of two providers", policy(**five), rows, both)
