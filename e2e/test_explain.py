"""What ``explain`` and ``status`` say, held against what a gateway does: counters by their names, and the 429."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from e2e.client import MODEL
from e2e.conftest import Serve
from e2e.stacks import Stack
from e2e.stacks.local import EnvoyStack, LocalStack, ProcessStack
from llmroute import names
from llmroute.cli.stores import Reading, RedisStore
from llmroute.conformance.adapters.plain import plain_plan
from llmroute.conformance.upstream import Script
from llmroute.explain import Api, Asked, Explained, Sent, asked, explained, live
from llmroute.plan import Route
from llmroute.targets import ENVOY, capabilities
from tests.policies import header, limit, route, rule, text, with_spec

USERS: Final = header(names.USER_HEADER, "Distinct")
MODELS: Final = header(names.MODEL_HEADER, "Distinct")
TENANT: Final = {"type": "Dynamic", "name": "some.filter", "paths": [{"key": "org"}]}
ODD: Final = "team_1 / a*:b%c"
RULES: Final = [
    rule(limit(1000, "Request"), limit(10**6, unit="Day")),
    rule(limit(500), limit(400, token="Prompt", unit="Month"), headers=[USERS, MODELS]),
    rule(limit(700), headers=[header(names.MODEL_HEADER, "Exact", MODEL), USERS]),
    rule(limit(701), headers=[header(names.MODEL_HEADER, "Exact", "another")]),
    rule(limit(702), headers=[header("x-team", "Exact", ODD), USERS]),
    rule(limit(703), headers=[header("x-team", "Distinct"), USERS]),
    rule(limit(800, weights={"prompt": 1, "completion": 4}, unit="Year"), limit(9, "Request", shadow=True)),
    rule(limit(900, unit="Week"), metadata=[TENANT]),
]
PATTERN: Final = rule(limit(704), headers=[header(names.USER_HEADER, "RegularExpression", "user-.*"), MODELS])
ADMISSIONS: Final[dict[str, dict[str, Any]]] = {
    "post-paid": {},
    "sync": {"settle": "Sync"},
    "prepaid": {"mode": "PrepaidPrompt"},
}


@pytest.fixture
def plain(stack: Stack) -> EnvoyStack:
    """The stack, where all counters can be seen."""
    if not isinstance(stack, EnvoyStack):
        pytest.skip("missing capability: all counters of a plain Envoy's service")
    return stack


def counted_by(stack: EnvoyStack, domain: str) -> Reading:
    """Every counter of a rate limit domain, as ``llmroute status`` reads them, and the service's time."""
    if isinstance(stack, LocalStack):
        return Reading({k: n for k, n in stack.counted().items() if k.startswith(domain)}, stack.now)
    assert isinstance(stack, ProcessStack)
    return RedisStore(stack.counters.address).read(domain)


def told(policy: str, sent: Sent, stack: EnvoyStack) -> tuple[Route, list[Explained], dict[str, int]]:
    """The route, what applies of it, and the counters of its domain."""
    (of,) = plain_plan(policy, stack.upstream.port).routes
    request = asked(of, sent)
    assert isinstance(request, Asked)
    found = explained(of, request, capabilities(ENVOY), counted_by(stack, "default/").now)
    counted = counted_by(stack, found[0].counter.domain)
    return of, [each for each in found if not each.why_not], dict(counted.counters)


@pytest.mark.parametrize("admission", ADMISSIONS)
def test_counters_are_called_what_explain_says(plain: EnvoyStack, serve: Serve, admission: str) -> None:
    """Those, and no other, each with what ``charges`` and the answer's usage make of it; a limit that does not apply has none."""
    rules = RULES if admission == "prepaid" else [*RULES, PATTERN]
    policy = text(
        with_spec(route(a=rules, b=[rule(limit(6))]), of_all=[rule(limit(77))], admission=ADMISSIONS[admission])
    )
    client = serve(policy)
    to_a = {names.BACKEND_HEADER: "a", "x-team": ODD}
    usage = {"prompt_tokens": 20, "completion_tokens": 10, "total_tokens": 30}
    assert client.chat(script=Script(usage=usage), headers=to_a).status == 200
    sent = Sent(model=MODEL, user=client.user, backend="a", headers={"x-team": ODD})
    of, applying, _ = told(policy, sent, plain)
    assert [each.counter.place for each in applying] == [
        n for n in range(1, len(rules) + 6) if n not in {6, len(rules) + 4}
    ]
    costs = {"requests": 1, "tokens": 30, "prompt": 20, "weighted": 60}
    wanted = {each.key: costs[_cost(each)] for each in applying}
    assert client.settled(30, applying[-1].counter.place - 1) == 30
    for each in applying:
        client.settled(wanted[each.key], each.counter.place - 1, *_values(each, client.user))
    _, _, counted = told(policy, sent, plain)
    assert counted == wanted
    stands = list(live(of, capabilities(ENVOY), counted, counted_by(plain, "default/").now))
    assert {one.key: one.used for one in stands} == wanted
    assert [one.counter.place for one in stands] == [each.counter.place for each in applying]


def _cost(each: Explained) -> str:
    limit_id = each.counter.limit.id.split("/")[1]
    return limit_id.partition("-")[0]


def _values(each: Explained, user: str) -> list[str]:
    known = {names.USER_HEADER: user, names.MODEL_HEADER: MODEL, "x-team": ODD}
    return [known.get(header, names.UNKNOWN) for header in each.counter.distinct]


PATHS: Final = {
    Api.OPENAI: "/v1/chat/completions",
    Api.ANTHROPIC: "/v1/messages",
    Api.GEMINI: f"/v1beta/models/{MODEL}:generateContent",
}
SPENT: Final[dict[str, dict[str, Any]]] = {
    "tokens-a-minute": limit(5, unit="Minute"),
    "completion-a-year": limit(5, token="Completion", unit="Year"),
    "weighted-an-hour": limit(5, weights={"completion": 2}),
    "requests-a-day": limit(1, "Request", unit="Day"),
    "nothing": limit(0),
}


@pytest.mark.parametrize("api", list(Api))
@pytest.mark.parametrize("spent", SPENT)
@pytest.mark.parametrize("mode", ["PostPaid", "PrepaidPrompt"])
def test_a_refusal_is_what_explain_says(plain: EnvoyStack, serve: Serve, api: Api, spent: str, mode: str) -> None:
    """Status, every header and each byte of the body, where a limit is used up; the upstream sees nothing."""
    policy = text(with_spec(route(rule(SPENT[spent], headers=[USERS])), admission={"mode": mode}))
    client = serve(policy)
    if SPENT[spent]["quantity"]:
        assert client.chat(40).status == 200
        assert client.settled(1) >= 1
        expected = {"requests-a-day": 1, "completion-a-year": 20, "weighted-an-hour": 20 + 2 * 20}.get(spent, 40)
        assert client.settled(expected) == expected
    body = json.dumps({"model": MODEL, "messages": [], "max_tokens": 5}).encode()
    answer = client.send(body, path=PATHS[api], headers={names.USER_HEADER: client.user})
    of, (each,), _ = told(policy, Sent(model=MODEL, user=client.user, api=api), plain)
    assert each.refusal
    assert (answer.status, answer.served) == (each.refusal.status, None)
    ours = {name: value for name, value in answer.headers.items() if name in each.refusal.headers}
    others = {name for name in answer.headers if name.startswith(("x-ratelimit", "retry", "x-should"))}
    assert others <= set(each.refusal.headers)
    # The machine's clock goes on between the two, where the service has it.
    wait = int(answer.headers["retry-after"])
    assert 0 <= wait - each.reset <= 5
    again = explained_at(of, api, client.user, wait)
    assert ours == again.headers
    assert answer.body.decode() == again.body


def explained_at(of: Route, api: Api, user: str, reset: int) -> Any:
    """The same refusal so many seconds before the window's end."""
    (_, found), *_ = of.limits()
    request = asked(of, Sent(model=MODEL, user=user, api=api))
    assert isinstance(request, Asked)
    (each,) = explained(of, request, capabilities(ENVOY), 10 * found.unit.seconds - reset)
    assert each.reset == reset
    return each.refusal
