"""Cases of other gateways about limits: whose they are, several at once, and prices.

Read for a gateway that admits while less than the quantity is used; ``docs/cases.md`` lists all cases.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest

from e2e.client import MODEL
from e2e.conftest import Serve
from e2e.rows import ALL, STREAM, USER, USERS, Case, Row, ok, per_user, refused, reporting, streaming
from llmroute import names
from tests.policies import header, limit, route, rule, text, with_spec

GROUP: Final = "x-group"
MESSAGES: Final = "/v1/messages"
CACHES: Final = {"cache_creation_input_tokens": 100, "cache_read_input_tokens": 200}
ANTHROPIC: Final = {"input_tokens": 50, "output_tokens": 30}
"""Of the cases with an expression: 50 fresh, 100 into the cache, 200 from it, 30 of completion."""
FRESH_WRITTEN_OUT: Final = {"prompt": 1, "cachedPrompt": 0, "cacheWrite": 1, "completion": 1}


def day(quantity: int, kind: str = "Token", **more: Any) -> dict[str, Any]:
    """A limit of a day."""
    return limit(quantity, kind, "Day", **more)


def policy(*rules: dict[str, Any], of_all: list[dict[str, Any]] | None = None, **backends: Any) -> str:
    """A policy of one backend, or of several by name."""
    return text(with_spec(route(*rules, **backends), of_all))


def to(backend: str) -> dict[str, Any]:
    """Of a row: it goes to this backend."""
    return {"headers": {names.BACKEND_HEADER: backend}}


def tag(name: str, value: str) -> dict[str, Any]:
    """Of a row: it says this."""
    return {"headers": {name: value}}


def users(*limits: dict[str, Any], **match: str) -> dict[str, Any]:
    """A rule for each user whose headers are these, underscores for dashes."""
    exact = [header(name.replace("_", "-"), "Exact", value) for name, value in match.items()]
    return rule(*limits, headers=[*USERS, *exact])


def tiers(group: str, quantity: int, body: dict[str, Any]) -> list[Row]:
    """A user of this group, used up by answers of 10; somebody of no group has no limit."""
    used = (quantity, 0) if group == "free" else (0, quantity)
    each = tuple(10 if q else 0 for q in used)
    more = tag(GROUP, group) | {"body": body}
    return [*[ok(10, *each, **more)] * (quantity // 10), refused(**more), ok(10, 0, 0, body=body)]


def of_users() -> Iterator[Case]:
    """Whose a limit is."""
    both = [users(day(50), x_group="free"), users(day(100), x_group="paid")]
    for streamed, body in (("", {}), ("-stream", STREAM)):
        yield Case(f"KU-02{streamed}", policy(*both), tiers("free", 50, body), [USER, USER])
        yield Case(f"KU-03{streamed}", policy(*both), tiers("paid", 100, body), [USER, USER])
    yield Case("KU-04", policy(of_all=both), [*tiers("free", 50, {}), *tiers("paid", 100, {})], [USER, USER])
    yield Case("KU-13", per_user(200), [*[ok(50)] * 4, refused(), ok(50, user="user2")])
    yield Case("KU-14", per_user(200), [ok(150), ok(150), refused()])
    each = [*[ok(10)] * 3, refused()]
    others = [*[ok(10, user="jack2")] * 3, refused(user="jack2")]
    yield Case("AP-17", per_user(30), [*each, *others])
    rules = [users(day(20)), rule(day(30), headers=[header("x-project", "Distinct")])]
    project = tag("x-project", "p")
    jack = [ok(10, 10, 10, **project), ok(10, 10, 10, **project), refused(**project)]
    rose = [ok(10, 10, 10, user="rose", **project), refused(user="rose", **project), ok(10, 10, 10, user="rose")]
    yield Case("AP-11", policy(*rules), [*jack, *rose], [USER, ("x-project",)])
    rules = [users(day(500, token="Prompt"), day(200, token="Completion"))]
    one = [ok((500, 10, 510), 500, 10), refused(says="prompt tokens")]
    two = [ok((10, 200, 210), 10, 200, user="b"), refused(user="b", says="completion tokens")]
    yield Case("WS-18", policy(*rules), [*one, *two], [USER, USER])
    rules = [rule(day(10), headers=[*USERS, header("x-org", "Distinct")])]
    yield Case("WS-22", policy(*rules), [ok(10), refused(), ok(5, **tag("x-org", "o"))], [("user", "x-org")])
    app = policy(rule(day(40), headers=[header("x-app-id", "Distinct")]))
    rows = [
        row
        for name in ("odin", "thor", "loki")
        for row in (ok(40, **tag("x-app-id", name)), refused(**tag("x-app-id", name)))
    ]
    yield Case("PX-04", app, rows, [("x-app-id",)])
    yield Case("PX-05", app, [ok(40), refused(), refused(user="other")], [("x-app-id",)])


def requests() -> Iterator[Case]:
    """Limits of requests."""
    of_customer = rule(day(5, "Request"), headers=[header("x-customer", "Exact", "a")])
    said = tag("x-customer", "a")
    rows = [*[ok(7, 1, **said)] * 5, refused(1, by="requests", **said), ok(7, 0, **tag("x-customer", "b"))]
    yield Case("TZ-01", policy(of_customer), rows, [ALL])
    tenants = rule(day(3, "Request"), headers=[header("x-tag", "RegularExpression", "tenant-.*")])
    mixed = [ok(7, 1, **tag("x-tag", f"tenant-{n}")) for n in (1, 2, 1)]
    over = refused(1, by="requests", **tag("x-tag", "tenant-3"))
    yield Case("TZ-02", policy(tenants), [*mixed, over, ok(7, 0)], [ALL])
    spaces = policy(rule(day(2, "Request"), headers=[header("x-workspace", "Distinct")]))
    rows = [ok(7, 1, **tag("x-workspace", n)) for n in "abab"]
    yield Case("TZ-03", spaces, rows, [("x-workspace",)])
    yield Case("TZ-09-zero", per_user(0, kind="Request"), [refused(1, by="requests")])
    yield Case("TZ-09-no-rules", policy(), [*[ok(1000, 0)] * 3], [])
    yield Case("TZ-09-missing-tags", spaces, [ok(7, 1), ok(7, 1), refused(1, by="requests")], [("x-workspace",)])
    yield Case(
        "LL-10",
        policy(users(day(3, "Request"), day(100))),
        [*[ok(0, 1, 0)] * 3, refused(1, 0, by="requests")],
        [USER] * 2,
    )
    one = [ok(7, 1, left=0, by="requests"), refused(1, by="requests")]
    yield Case("AG-02", per_user(1, kind="Request"), one)
    yield Case(
        "HE-02", per_user(3, kind="Request"), [*[ok(7, 1)] * 3, refused(1, by="requests"), *[ok(7, 1, user="b")] * 3]
    )
    yield Case("HE-03", policy(), [*[ok(7, 0)] * 10], [])


def levels() -> Iterator[Case]:
    """Several limits on one request."""
    rules = [users(limit(3000, unit="Minute")), rule(limit(100, unit="Minute"))]
    yield Case("KU-22", policy(*rules), [ok(120, 120, 120), refused()], [USER, ALL])
    vip = header("x-api-key", "Exact", "vip-key")
    rules = [rule(limit(100, unit="Minute")), rule(limit(25, unit="Minute"), headers=[vip])]
    key = tag("x-api-key", "vip-key")
    rows = [*[ok(10, 10, 10, **key)] * 3, refused(**key)]
    yield Case("HI-01", policy(*rules), rows, [ALL, ALL])
    yield Case("HI-02", policy(*rules), [*rows, ok(10, 10, 0, left=70, **tag("x-api-key", "other"))], [ALL, ALL])
    rules = [users(day(10, token="Prompt"), day(20))]
    yield Case("WS-01", policy(*rules), [ok((5, 3, 8), 5, 8), ok((5, 3, 8), 5, 8), refused()], [USER] * 2)
    rules = [users(day(5, token="Prompt"), day(10, token="Completion"), day(15))]
    yield Case("WS-02", policy(*rules), [ok((5, 5, 10), 5, 5, 10), refused(reports=(1, 1, 2))], [USER] * 3)
    rules = [users(day(10, token="Prompt"), day(20, token="Completion"), day(25))]
    rows = [ok((8, 15, 23), 8, 15, 23), ok((3, 5, 8), 3, 5, 8, left=2), refused(says="used up")]
    yield Case("WS-06", policy(*rules), rows, [USER] * 3)
    rules = [users(limit(10, unit="Minute"), limit(1000))]
    yield Case("WS-29", policy(*rules), [ok(10, 10, 10, left=10), refused(says="per minute")], [USER] * 2)
    yield Case(
        "TZ-12",
        policy(users(day(50)), rule(day(100))),
        [ok(20, 20, 20), ok(100, 100, 100, user="x"), refused()],
        [USER, ALL],
    )
    of_model = rule(day(60), headers=[header(names.MODEL_HEADER, "Exact", MODEL)])
    yield Case("LL-12", policy(of_model), [ok(30), ok(30, user="b"), refused(), refused(user="b")], [ALL])
    four = [rule(day(400)), rule(day(300), headers=[header(names.MODEL_HEADER, "Distinct")]), users(day(200)),
            rule(day(100), headers=[header(names.MODEL_HEADER, "Distinct"), *USERS])]  # fmt: skip

    def at(use: int, user: str, model: str) -> Row:
        return ok(use, use, use, use, use, user=user, model=model)

    rows = [at(98, "1", "a"), at(98, "1", "a"), refused(user="1", model="a"), at(48, "1", "b"), refused(user="1", model="b"),
            at(98, "2", "a"), at(48, "3", "a"), refused(user="4", model="a"), at(48, "5", "c"), refused(user="6", model="d")]  # fmt: skip
    yield Case("NX-02", policy(*four), rows, [ALL, ("model",), USER, ("model", "user")])
    shadow = [users(day(250, shadow=True))]
    yield Case("AG-08", policy(*shadow), [*[ok(101)] * 4])


def backends() -> Iterator[Case]:
    """Limits of backends and of routes."""
    isolated = {"a": [users(day(30))], "b": [users(day(40))]}
    on_a = [*[ok(10, 10, 0, **to("a"))] * 3, refused(**to("a"))]
    on_b = [*[ok(10, 0, 10, **to("b"))] * 4, refused(**to("b"))]
    one, two = route(name="one", a=isolated["a"]), route(name="two", b=isolated["b"])
    yield Case("AP-05", text(one, two), [*on_a, *on_b, refused(**to("a"))], [USER, USER])
    yield Case("WS-11", policy(**isolated), [*on_a, ok(10, 0, 10, **to("b"))], [USER, USER])
    rules = {"gpt-4": [users(day(50))], "gpt-3": [users(day(20))]}
    rows = [
        *[ok(10, 10, 0, **to("gpt-4"))] * 5,
        refused(**to("gpt-4")),
        *[ok(10, 0, 10, **to("gpt-3"))] * 2,
        refused(**to("gpt-3")),
    ]
    yield Case("AP-08", policy(**rules), rows, [USER, USER])
    dotted = {"gpt.4.o": [users(day(20))], "gpt": [users(day(30))]}
    rows = [*[ok(10, 10, 0, **to("gpt.4.o"))] * 2, refused(**to("gpt.4.o")), ok(10, 0, 10, **to("gpt"))]
    yield Case("AP-14", policy(**dotted), rows, [USER, USER])
    five = {"a": [users(limit(5))], "b": [users(limit(5))]}
    rows = [ok(3, 3, 0, **to("a")), ok(2, 2, 0, **to("a")), refused(**to("a")), ok(6, 0, 6, **to("b"))]
    yield Case("WS-05", policy(**five), rows, [USER, USER])


def prices() -> Iterator[Case]:
    """Weighted limits."""
    asked: dict[str, Any] = {"path": MESSAGES}
    answer = reporting({"usage": ANTHROPIC | CACHES})
    rows = [ok(answer, 180, left=500, **asked), ok(answer, 180, left=320, **asked)]
    yield Case("AP-18", per_user(500, weights=FRESH_WRITTEN_OUT), rows)
    start = {"type": "message_start", "message": {"usage": {"input_tokens": 50, "output_tokens": 1} | CACHES}}
    stream = streaming(start, {"type": "message_delta", "usage": {"output_tokens": 30}}, {"type": "message_stop"})
    rows = [ok(stream, 180, left=500, **asked), ok(stream, 180, left=320, **asked)]
    yield Case("AP-19", per_user(500, weights=FRESH_WRITTEN_OUT), rows)
    no_output = {"prompt": 1, "cachedPrompt": 0, "cacheWrite": 1, "completion": 0}
    yield Case("AP-20", per_user(100, weights=no_output), [ok(answer, 150, **asked), refused(**asked)])
    weights = {"prompt": 1, "cachedPrompt": 0.1, "cacheWrite": 1.25, "completion": 1}
    rows = [ok(answer, 225, left=1000, **asked), ok(answer, 225, left=775, **asked)]
    yield Case("AP-21", per_user(1000, weights=weights), rows)
    plain = reporting({"usage": ANTHROPIC})
    rows = [ok(plain, 80, left=500, **asked), ok(plain, 80, left=420, **asked)]
    yield Case("AP-22", per_user(500, weights=FRESH_WRITTEN_OUT), rows)
    half = {"prompt": 0.5, "completion": 0.5}
    yield Case("WS-20", per_user(4, weights=half), [ok((2, 1, 3), 2), ok((2, 1, 3), 2), refused()])
    micro = {"prompt": 2, "completion": 8}  # millionths of a dollar
    yield Case("WS-28", per_user(236, weights=micro), [ok((19, 10, 29), 118), ok((19, 10, 29), 118), refused()])
    thousands = {"prompt": 1, "completion": 1000}
    rows = [ok((17, 23, 40), 23_017), ok((18, 286, 304), 286_018, body=STREAM), refused()]
    yield Case("AG-01", per_user(300_000, weights=thousands), rows)
    micro = {"prompt": 10, "completion": 30}
    yield Case("AG-07", per_user(8000, weights=micro), [*[ok((1, 100, 101), 3010)] * 3, refused()])


CASES: Final = tuple(case for cases in (of_users, requests, levels, backends, prices) for case in cases())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_case(serve: Serve, case: Case) -> None:
    """Row by row: status, what the answer says to be left, and every counter."""
    case.run(serve)
