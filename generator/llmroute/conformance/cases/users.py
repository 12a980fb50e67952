"""Core: whose a limit is, and limits of requests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from llmroute import names
from llmroute.conformance.case import ALL, USER, Case, Profile, Step, Subject
from llmroute.conformance.policies import USERS, header, limit, per_user, route, rule, text, with_spec
from llmroute.conformance.rows import STREAM, ok, refused

_GROUP: Final = "x-group"


def day(quantity: int, kind: str = "Token", **more: Any) -> dict[str, Any]:
    """A limit of a day."""
    return limit(quantity, kind, "Day", **more)


def policy(*rules: dict[str, Any], of_all: list[dict[str, Any]] | None = None, **backends: Any) -> str:
    """A policy of one backend, or of several by name."""
    return text(with_spec(route(*rules, **backends), of_all))


def tag(name: str, value: str) -> dict[str, Any]:
    """Of a row: it says this."""
    return {"headers": {name: value}}


def to(backend: str) -> dict[str, Any]:
    """Of a row: it goes to this backend."""
    return tag(names.BACKEND_HEADER, backend)


def users(*limits: dict[str, Any], **match: str) -> dict[str, Any]:
    """A rule for each user whose headers are these, underscores for dashes."""
    exact = [header(name.replace("_", "-"), "Exact", value) for name, value in match.items()]
    return rule(*limits, headers=[*USERS, *exact])


def replay(  # noqa: PLR0913 a row of a table
    name: str, title: str, policy: str, steps: Sequence[Step], subjects: tuple[Subject, ...] = (USER,), *, proves: str
) -> Case:
    """A case of another gateway: the part of its id up to the number is what it comes from."""
    source = "-".join(name.split("-")[:2])
    return Case(name, title, Profile.CORE, policy, tuple(steps), proves, subjects, sources=(source,))


def cases() -> Iterator[Case]:
    """All about whose a limit is."""
    yield from _groups()
    yield from _subjects()
    yield from _requests()


def _tiers(group: str, quantity: int, body: Mapping[str, Any]) -> list[Step]:
    """A user of this group, used up by answers of 10; somebody of no group has no limit."""
    used = (10, 0) if group == "free" else (0, 10)
    more = tag(_GROUP, group) | {"body": body}
    return [*[ok(10, *used, **more)] * (quantity // 10), refused(**more), ok(10, 0, 0, body=body)]


def _groups() -> Iterator[Case]:
    made = partial(replay, proves="A group's quantity is that of each of its users, and of nobody else.")
    both = [users(day(50), x_group="free"), users(day(100), x_group="paid")]
    of_all: tuple[Subject, ...] = (USER, USER)
    for more, body in (("", {}), ("-stream", STREAM)):
        how = ", streamed" if more else ""
        yield made(
            f"KU-02{more}",
            f"the free group's quantity for each user{how}",
            policy(*both),
            _tiers("free", 50, body),
            of_all,
        )
        yield made(
            f"KU-03{more}",
            f"the paid group's quantity for each user{how}",
            policy(*both),
            _tiers("paid", 100, body),
            of_all,
        )
    steps = [*_tiers("free", 50, {}), *_tiers("paid", 100, {})]
    yield made("KU-04", "groups across all backends", policy(of_all=both), steps, of_all)


def _subjects() -> Iterator[Case]:
    made = partial(replay, proves="What one subject uses is charged to it alone.")
    yield made(
        "KU-13", "one user is used up, another is not", per_user(200), [*[ok(50)] * 4, refused(), ok(50, user="user2")]
    )
    rows = [*[ok(10)] * 3, refused(), *[ok(10, user="jack2")] * 3, refused(user="jack2")]
    yield made("AP-17", "consumers are counted apart", per_user(30), rows)
    project = tag("x-project", "p-{user}")
    rules = [users(day(20)), rule(day(30), headers=[header("x-project", "Distinct")])]
    rows = [ok(10, 10, 10, **project), ok(10, 10, 10, **project), refused(**project), ok(10, 10, 10, user="rose", **project),
            refused(user="rose", **project), ok(10, 10, 10, user="rose")]  # fmt: skip
    yield made("AP-11", "a user's rule and a project's", policy(*rules), rows, (USER, ("x-project",)))
    rules = [users(day(500, token="Prompt"), day(200, token="Completion"))]
    rows = [ok((500, 10, 510), 500, 10), refused(says="prompt tokens"), ok((10, 200, 210), 10, 200, user="b"),
            refused(user="b", says="completion tokens")]  # fmt: skip
    yield made("WS-18", "prompt and completion of two users", policy(*rules), rows, (USER, USER))
    rules = [rule(day(10), headers=[*USERS, header("x-org", "Distinct")])]
    rows = [ok(10), refused(), ok(5, **tag("x-org", "o"))]
    yield made("WS-22", "part of a key is missing: counted all the same", policy(*rules), rows, (("user", "x-org"),))
    app = policy(rule(day(40), headers=[header("x-app-id", "Distinct")]))
    rows = [
        row
        for app_id in ("odin", "thor", "loki")
        for row in (ok(40, **tag("x-app-id", app_id)), refused(**tag("x-app-id", app_id)))
    ]
    yield made("PX-04", "three applications, each apart", app, rows, (("x-app-id",),))
    yield made("PX-05", "without the header: one counter for all such", app, [ok(40), refused(), refused(user="other")],
               (("x-app-id",),))  # fmt: skip
    family = policy(rule(day(1000), headers=[header(names.MODEL_HEADER, "RegularExpression", r"gpt-4.*"), *USERS]))
    rows = [ok(400, model="gpt-4o"), ok(600, model="gpt-4.1"), refused(model="gpt-4"), ok(1, 0, model="my-gpt-4")]
    yield Case("regular-expression", "a family of models shares a counter; the whole name has to match", Profile.CORE,
               family, tuple(rows), "An expression matches all of a value.")  # fmt: skip
    everybody = policy(rule(day(10)))
    rows = [ok(10, user="a"), refused(user="b"), refused()]
    yield Case("global-limit", "a rule without headers counts everybody", Profile.CORE, everybody, tuple(rows),
               "A limit of all is one counter.", (ALL,))  # fmt: skip


def _requests() -> Iterator[Case]:
    made = partial(replay, proves="A limit of requests counts requests, whatever they cost.")
    said = tag("x-customer", "a")
    customer = policy(rule(day(5, "Request"), headers=[header("x-customer", "Exact", "a")]))
    rows = [*[ok(7, 1, **said)] * 5, refused(1, by="requests", **said), ok(7, 0, **tag("x-customer", "b"))]
    yield made("TZ-01", "5 requests of one customer", customer, rows, (ALL,))
    tenants = policy(rule(day(3, "Request"), headers=[header("x-tag", "RegularExpression", "tenant-.*")]))
    rows = [*[ok(7, 1, **tag("x-tag", f"tenant-{n}")) for n in (1, 2, 1)],
            refused(1, by="requests", **tag("x-tag", "tenant-3")), ok(7, 0)]  # fmt: skip
    yield made("TZ-02", "3 requests of all that have a tag", tenants, rows, (ALL,))
    spaces = policy(rule(day(2, "Request"), headers=[header("x-workspace", "Distinct")]))
    yield made("TZ-03", "2 requests of each workspace", spaces, [ok(7, 1, **tag("x-workspace", n)) for n in "abab"],
               (("x-workspace",),))  # fmt: skip
    yield made("TZ-09-no-rules", "no rules: nothing is refused", policy(), [*[ok(1000)] * 3], ())
    rows = [ok(7, 1), ok(7, 1), refused(1, by="requests")]
    yield made("TZ-09-missing-tags", "those without the tag are one subject", spaces, rows, (("x-workspace",),))
    rows = [*[ok(0, 1, 0)] * 3, refused(1, 0, by="requests")]
    both = policy(users(day(3, "Request"), day(100)))
    yield made("LL-10", "answers of no tokens are requests", both, rows, (USER, USER))
    rows = [ok(7, 1, left=0, by="requests"), refused(1, by="requests")]
    yield made("AG-02", "one of one: told, then refused", per_user(1, kind="Request"), rows)
    rows = [*[ok(7, 1)] * 3, refused(1, by="requests"), *[ok(7, 1, user="b")] * 3]
    yield made("HE-02", "requests of two keys", per_user(3, kind="Request"), rows)
    yield made("HE-03", "no limits: ten requests pass", policy(), [*[ok(7)] * 10], ())
