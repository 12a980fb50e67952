"""What a policy means for one request, told without a gateway; ``e2e/test_explain.py`` holds it against some."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from e2e.stacks.gateway_limits import limits_of
from llmroute import names
from llmroute.explain import Api, Asked, Explained, Sent, TurnedAway, asked, explained, live
from llmroute.explain.counters import counters
from llmroute.limiter.limiter import counter_key
from llmroute.plan import Mode, Route
from llmroute.targets import ENVOY, ENVOY_GATEWAY, capabilities
from tests.policies import MODEL, USER, compiled, header, limit, route, rule, with_spec

NOW = 1_000_000.0
"""In a minute that began 40 seconds ago."""
USERS, MODELS = header(USER, "Distinct"), header(MODEL, "Distinct")
TENANT = {"type": "Dynamic", "name": "some.filter", "paths": [{"key": "sso"}, {"key": "org"}], "defaultValue": "nobody"}
JWT = {"jwt": {"provider": {"name": "sso", "remoteJWKS": {"uri": "https://sso.example.com/jwks.json"}}}}


def of(policy: dict[str, Any]) -> Route:
    """The policy's route."""
    (found,) = compiled(policy).plan.routes
    return found


def request(policy: dict[str, Any], **sent: Any) -> Asked:
    """One that comes through."""
    found = asked(of(policy), Sent(**sent))
    assert isinstance(found, Asked), found
    return found


def about(policy: dict[str, Any], target: str = ENVOY, **sent: Any) -> list[Explained]:
    """Every limit."""
    return list(explained(of(policy), request(policy, **sent), capabilities(target), NOW))


def by_model(**models: list[str]) -> dict[str, Any]:
    """A route whose backends serve these models."""
    rules: dict[str, Any] = {name: [rule(limit(5))] for name in models}
    policy = route(**rules)
    for backend in policy["spec"]["backends"]:
        served = models[backend["backendRef"]["name"]]
        backend.update({"models": served} if served else {})
    return policy


@pytest.mark.parametrize(
    ("policy", "sent", "expected"),
    [
        (by_model(a=[]), {}, "a"),
        (by_model(a=[]), {"backend": "whoever"}, "a"),
        (by_model(a=[], b=[]), {"backend": "b"}, "b"),
        (by_model(a=[], b=[]), {"headers": {names.BACKEND_HEADER: " b "}}, "b"),
        (by_model(a=[], b=[]), {"model": "m"}, 404),
        (by_model(a=[], b=[]), {"backend": "c"}, 404),
        (by_model(a=["m"], b=["n"]), {"model": "n"}, "b"),
        (by_model(a=["m"], b=["n"]), {"model": "n", "backend": "a"}, "a"),
        (by_model(a=["m"], b=["n"]), {"model": "o"}, 404),
        (by_model(a=["m"], b=["n"]), {"backend": "c", "model": "m"}, 404),
        (by_model(a=["*"], b=["n"]), {"model": "n"}, "b"),
        (by_model(a=["*"], b=["n"]), {"model": "o"}, "a"),
        (by_model(a=["*"], b=["n"]), {}, "a"),
    ],
)
def test_where_a_request_goes(policy: dict[str, Any], sent: dict[str, Any], expected: str | int) -> None:
    """As the filter chooses: the backend that is named, else the model's, else who takes the rest, else a 404."""
    found = asked(of(policy), Sent(**sent))
    assert (found.status if isinstance(found, TurnedAway) else found.backend.name) == expected


@pytest.mark.parametrize(
    ("identity", "sent", "expected"),
    [
        ({}, {}, "anonymous"),
        ({}, {"user": " alice "}, "alice"),
        ({}, {"headers": {USER: "alice"}}, "alice"),
        ({}, {"user": "a\tb"}, "anonymous"),
        ({"onMissing": "Reject"}, {}, 401),
        ({"onMissing": "Reject"}, {"headers": {USER: "alice"}}, "alice"),
        (JWT, {"headers": {USER: "alice"}}, "anonymous"),
        (JWT, {"user": "alice"}, "alice"),
        (JWT | {"onMissing": "Reject"}, {"headers": {USER: "alice"}}, 401),
    ],
)
def test_who_asks(identity: dict[str, Any], sent: dict[str, Any], expected: str | int) -> None:
    """A header is believed where nothing is verified, and only there."""
    found = asked(of(with_spec(route(rule(limit(5), headers=[USERS])), identity=identity)), Sent(**sent))
    assert (found.status if isinstance(found, TurnedAway) else found.headers[USER]) == expected


def test_what_a_request_lacks() -> None:
    """Every selected header has a value: what was sent, what was found out, or what stands in for it."""
    policy = route(rule(limit(5), headers=[USERS, MODELS, header("x-team", "Distinct")], metadata=[TENANT]))
    (stand_in,) = of(policy).metadata_headers
    lacking = request(policy, headers={"x-other": "1", "x-team": " "}, model="m" * 257).headers
    assert lacking == {USER: "anonymous", MODEL: "unknown", "x-team": "unknown", stand_in.header: "nobody"}
    full = request(policy, headers={"x-team": "red"}, model="m", user="alice", metadata={"sso.org": "acme"}).headers
    assert full == {USER: "alice", MODEL: "m", "x-team": "red", stand_in.header: "acme"}


def test_what_does_not_apply() -> None:
    """Each selector that does not match says so, and so does another backend."""
    rules = [
        rule(limit(5), headers=[header(MODEL, "Exact", "m"), header("x-team", "RegularExpression", "r.*")]),
        rule(limit(6), headers=[header(USER, "RegularExpression", "ali")]),
    ]
    policy = with_spec(route(a=rules, b=[rule(limit(7))]), of_all=[rule(limit(8))])
    found = [each.why_not for each in about(policy, user="alice", model="n", backend="a")]
    assert found == [
        f"{MODEL} is n, not m, x-team is unknown, not like r.*",
        f"{USER} is alice, not like ali",
        "it is of the backend b, and the request goes to a",
        "",
    ]
    assert [bool(each.why_not) for each in about(policy, model="m", backend="a", headers={"x-team": "red"})] == [
        *(False, True, True, False)
    ]


SEVERAL = [
    rule(limit(10), limit(3, "Request", "Day"), headers=[USERS]),
    rule(limit(9), headers=[header(MODEL, "Exact", "gpt-*:x"), USERS, MODELS]),
    rule(limit(8), metadata=[TENANT]),
    rule(limit(7)),
]


@pytest.mark.parametrize("mode", ["PostPaid", "PrepaidPrompt"])
@pytest.mark.parametrize("two", [False, True])
def test_names_of_counters_on_envoy_gateway(mode: str, two: bool) -> None:
    """Those that the standalone and kind stacks read from Redis, told from the BackendTrafficPolicy."""
    policy = route(a=SEVERAL, b=SEVERAL) if two else route(*SEVERAL)
    policy = with_spec(policy, of_all=[rule(limit(6))], admission={"mode": mode})
    made = compiled(policy)
    real = limits_of([d for d in yaml.safe_load_all(made.artifacts[0].text) if d])
    values = {USER: "alice", MODEL: "gpt-*:x", made.plan.routes[0].metadata_headers[0].header: "acme"}
    told = list(counters(made.plan.routes[0], capabilities(ENVOY_GATEWAY)))
    keys = [counter.key(values, 3600) for counter in told]
    assert keys == [each.counter([values[h] for h in c.distinct], 3600) for each, c in zip(real, told, strict=True)]
    assert len(set(keys)) == len(keys)


def test_without_a_namespace_it_is_the_default() -> None:
    """On both targets."""
    policy = route(rule(limit(5)))
    del policy["metadata"]["namespace"]
    for target in (ENVOY, ENVOY_GATEWAY):
        assert [c.domain for c in counters(of(policy), capabilities(target))] == ["default/route"]


def test_the_window() -> None:
    """The key ends in its first second, and it goes on for what is left of its length."""
    found = about(route(rule(limit(5, unit="Minute"), limit(6, unit="Day"))))
    assert [(each.key.rpartition("_")[2], each.reset) for each in found] == [("999960", 20), ("950400", 36800)]


END, SYNC, ADMISSION = "just after the answer's end", "before the answer's last byte goes on", "on admission"


@pytest.mark.parametrize(
    ("one", "admission", "expected"),
    [
        (limit(5), {}, [(END, "the answer's total tokens")]),
        (limit(5, token="Prompt"), {}, [(END, "the answer's prompt tokens")]),
        (limit(5, weights={"prompt": 2}), {}, [(END, "the answer's weighted tokens")]),
        (limit(5), {"settle": "Sync"}, [(SYNC, "the answer's total tokens")]),
        (limit(5, shadow=True), {"settle": "Sync"}, [(SYNC, "the answer's total tokens")]),
        (limit(5, "Request"), {"settle": "Sync"}, [(ADMISSION, "1")]),
        (limit(5, "Request", shadow=True), {"settle": "Sync"}, [(END, "1")]),
        (limit(0), {}, [(ADMISSION, "1, against 0: no request is admitted")]),
        (limit(5, token="Completion"), {"mode": "PrepaidPrompt"}, [(END, "the answer's completion tokens")]),
        (limit(5, shadow=True), {"mode": "PrepaidPrompt"}, [(END, "the answer's total tokens")]),
        (
            limit(5),
            {"mode": "PrepaidPrompt", "settle": "Sync"},
            [
                (ADMISSION, "the prompt's estimate, as total tokens"),
                (SYNC, "the rest of the answer's total tokens; nothing is given back"),
            ],
        ),
    ],
)
def test_what_is_charged_when(one: dict[str, Any], admission: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    """By kind of limit, mode and settle."""
    (found,) = about(with_spec(route(rule(one)), admission=admission))
    assert [(charge.when, charge.what) for charge in found.charges] == expected


def test_a_pattern_is_charged_late() -> None:
    """The filter cannot tell whether it applies, so the proxy charges."""
    selector = header(USER, "RegularExpression", "a.*")
    (found,) = about(with_spec(route(rule(limit(5), headers=[selector])), admission={"settle": "Sync"}), user="a")
    assert [charge.when for charge in found.charges] == [END]


def test_what_is_held() -> None:
    """``Reserve``, told from the plan: no emitter carries it out here."""
    import dataclasses

    policy = with_spec(route(rule(limit(5000))), admission={"maxTokens": 10, "maxInFlight": 3})
    held = of(policy)
    held = dataclasses.replace(held, admission=dataclasses.replace(held.admission, mode=Mode.RESERVE))
    (found,) = explained(held, request(policy, prompt=7), capabilities(ENVOY), NOW)
    assert [charge.when for charge in found.charges] == [ADMISSION, END]
    assert found.bound == "at most 6 x (prompt beyond its estimate) tokens for each Envoy"
    assert found.refusal
    assert "limit 5000, too little left." in found.refusal.body


@pytest.mark.parametrize(
    ("one", "admission", "says", "at_most"),
    [
        (limit(5), {}, "(its answer + prompt) tokens for each request in flight", None),
        (limit(5), {"maxTokens": 9}, "(9 + prompt) tokens for each request in flight", None),
        (limit(5), {"maxTokens": 9, "maxInFlight": 2}, "at most 4 x (9 + prompt) tokens for each Envoy", 4 * (9 + 7)),
        (limit(5, token="Prompt"), {"maxInFlight": 2}, "at most 4 x (prompt) tokens for each Envoy", 28),
        (limit(5, token="Completion"), {"maxTokens": 9, "maxInFlight": 2}, "at most 4 x (9) tokens for each Envoy", 36),
        (
            limit(5, weights={"prompt": 0.5, "completion": 4}),
            {"maxTokens": 9, "maxInFlight": 2},
            "at most 4 x (4 x 9 + 0.5 x prompt) tokens for each Envoy",
            4 * 40,
        ),
        (limit(5, "Request"), {}, "none", 0),
        (limit(0), {}, "none", 0),
        (limit(5, shadow=True), {}, "no bound: a shadow refuses nothing", None),
    ],
)
def test_how_far_past(one: dict[str, Any], admission: dict[str, Any], says: str, at_most: int | None) -> None:
    """In words, and as the number that ``overshoot`` has for a prompt of 7 tokens."""
    (found,) = about(with_spec(route(rule(one)), admission=admission), prompt=7)
    assert (found.bound, found.at_most) == (says, at_most)


def test_a_refusal() -> None:
    """As the documentation shows it; of a shadow there is none."""
    policy = route(rule(limit(1000, token="Prompt", unit="Minute"), limit(5, shadow=True)))
    first, shadow = about(policy, model="gpt-4o", api=Api.OPENAI)
    assert shadow.refusal is None
    assert first.refusal
    assert first.refusal.body == (
        '{"error":{"message":"Rate limit reached for gpt-4o on prompt tokens per minute: limit 1000, used up. '
        'Please try again in 20s.","type":"tokens","param":null,"code":"rate_limit_exceeded"}}'
    )
    assert first.refusal.headers == {
        "x-ratelimit-limit-tokens": "1000",
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": "20",
        "retry-after": "20",
        "retry-after-ms": "20000",
        "content-type": "application/json",
    }


@pytest.mark.parametrize("target", [ENVOY, ENVOY_GATEWAY])
def test_counters_are_read_back(target: str) -> None:
    """By limit and value, whatever is in the value; what is of another window or another limit is left out."""
    policy = of(
        route(rule(limit(10), headers=[USERS, MODELS]), rule(limit(20)), rule(limit(5, shadow=True), headers=[USERS]))
    )
    first, second, third = counters(policy, capabilities(target))
    hour = 997200
    found = {
        first.key({USER: "a_b c", MODEL: "gpt_4"}, hour): 10,
        first.key({USER: "x", MODEL: "y\nz"}, hour): 0,
        first.key({USER: "x", MODEL: "z"}, hour - 3600): 5,
        second.key({}, hour): 30,
        third.key({USER: "x"}, hour): 5,
        counter_key("default/other", [("limit", "x")], hour): 3,
    }
    told = [(o.counter.place, dict(o.values), o.used, o.left, o.reset, o.state) for o in live(policy, capabilities(target), found, NOW)]  # fmt: skip
    assert told == [
        (1, {USER: "a_b c", MODEL: "gpt_4"}, 10, 0, 800, "refused"),
        (1, {USER: "x", MODEL: "y\nz"}, 0, 10, 800, "open"),
        (2, {}, 30, 0, 800, "refused"),
        (3, {USER: "x"}, 5, 0, 800, "would refuse"),
    ]
