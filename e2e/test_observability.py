"""What a gateway tells of its requests: the line of the access log, Envoy's counters and the service's.

A plain Envoy is told to by options of its bootstrap, so these tests have gateways of their own.
"""

from __future__ import annotations

import json
import re

import pytest
import yaml

from e2e.client import assert_refused
from e2e.stacks.local import LocalStack
from e2e.telling import CACHED, EXAMPLES, POLICY, ROUTE, USERS, Start, told
from llmroute import names
from llmroute.conformance.upstream import Script
from llmroute.emit.telemetry import fields
from tests.policies import header, limit, route, rule, with_spec

__all__ = ["told"]


@pytest.fixture(autouse=True)
def _once(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--stack") != "local":
        pytest.skip("these tests have stacks of their own: --stack local")


def test_a_line_field_by_field(told: Start) -> None:
    """Of an answer: every field of the fragment, with what the request was and what it cost."""
    gateway = told(LocalStack)
    client = gateway.serve(POLICY)
    assert client.chat(script=Script(usage=CACHED), headers={"x-request-id": "one"}).status == 200
    (line,) = gateway.lines(1)
    assert list(line) == sorted(fields())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert 0 <= line.pop("llmroute.duration_ms") < 10_000
    assert 0 < int(line.pop("llmroute.limit.reset_seconds")) <= 86_400
    assert re.fullmatch(r"[0-9a-f-]{36}", line.pop("http.request.header.x-request-id")), "a client cannot choose it"
    assert line == {
        "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.usage.input_tokens": 27,
        "gen_ai.usage.output_tokens": 10,
        "gen_ai.usage.cache_read.input_tokens": 8,
        "gen_ai.usage.cache_creation.input_tokens": 0,
        "gen_ai.usage.reasoning.output_tokens": 4,
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "llmroute.decision": "admitted",
        "llmroute.details": "via_upstream",
        "llmroute.filter.errors": None,
        "llmroute.limit.kind": "tokens",
        "llmroute.limit.quantity": "85",
        "llmroute.limit.remaining": "85",
        "llmroute.route": ROUTE,
        "llmroute.usage.source": "reported",
        "llmroute.usage.total_tokens": 37,
        "url.path": "/v1/chat/completions",
        "user.id": client.user,
    }


def test_a_refusal_and_the_counters(told: Start) -> None:
    """Three answers, the third near the limit, and a refusal: the line says so, and each counter has its number."""
    gateway = told(LocalStack)
    client = gateway.serve(POLICY)
    for n in range(1, 4):
        assert client.chat(37).status == 200
        assert client.settled(37 * n) == 37 * n
    assert_refused(client.chat(37))
    assert client.settled(111) == 111
    *_, near, refused = gateway.lines(4)
    assert (near["llmroute.decision"], near["llmroute.limit.remaining"]) == ("admitted", "11")
    assert {name: refused[name] for name in refused if name.startswith("llmroute.limit") and "reset" not in name} == {
        "llmroute.limit.kind": "tokens",
        "llmroute.limit.quantity": "85",
        "llmroute.limit.remaining": "0",
    }
    assert (refused["llmroute.decision"], refused["http.response.status_code"]) == ("refused", 429)
    assert (refused["user.id"], refused["llmroute.usage.total_tokens"]) == (client.user, 0)
    assert gateway.counters("envoy_llmroute_") == {
        f'envoy_llmroute_requests{{llmroute_route="{ROUTE}",llmroute_decision="admitted"}}': 3,
        f'envoy_llmroute_requests{{llmroute_route="{ROUTE}",llmroute_decision="refused"}}': 1,
        f'envoy_llmroute_near_limit{{llmroute_route="{ROUTE}"}}': 1,
        f'envoy_llmroute_answers{{llmroute_route="{ROUTE}",llmroute_usage_source="reported"}}': 3,
        f'envoy_llmroute_tokens{{llmroute_route="{ROUTE}",llmroute_token_type="input"}}': 54,
        f'envoy_llmroute_tokens{{llmroute_route="{ROUTE}",llmroute_token_type="output"}}': 57,
    }
    assert gateway.counters("envoy_cluster_ratelimit_(ok|over_limit|error)") == {
        'envoy_cluster_ratelimit_ok{envoy_cluster_name="default/route/llm"}': 3,
        'envoy_cluster_ratelimit_over_limit{envoy_cluster_name="default/route/llm"}': 1,
    }


def test_an_answer_without_usage_is_estimated(told: Start) -> None:
    """It has a source of its own in the line and in the counter; what nobody meters has none."""
    gateway = told(LocalStack)
    client = gateway.serve(POLICY)
    assert client.chat(script=Script(status=500)).status == 500
    assert client.chat(script=Script(usage="absent")).status == 200
    assert client.send(b"", method="GET", path="/v1/models?key=secret").status == 200
    one, two, three = gateway.lines(3)
    assert [x["llmroute.usage.source"] for x in (one, two, three)] == ["none", "estimated", "none"]
    assert (three["url.path"], three["user.id"]) == ("/v1/models", "anonymous")
    assert "secret" not in json.dumps(three)
    assert gateway.counters("envoy_llmroute_answers") == {
        f'envoy_llmroute_answers{{llmroute_route="{ROUTE}",llmroute_usage_source="estimated"}}': 1
    }


def test_requests_that_no_limit_is_asked_about(told: Start) -> None:
    """Without a user, and for a backend that there is not: rejected, and nothing is metered."""
    gateway = told(LocalStack)
    policy = with_spec(
        route(small=[rule(limit(85, unit="Day"), headers=USERS)], large=[]), identity={"onMissing": "Reject"}
    )
    client = gateway.serve(policy)
    assert client.chat(user="", headers={names.BACKEND_HEADER: "small"}).status == 401
    assert client.chat(headers={names.BACKEND_HEADER: "nowhere"}).status == 404
    assert client.chat(37, headers={names.BACKEND_HEADER: "small"}).status == 200
    lines = gateway.lines(3)
    decided = [(x["http.response.status_code"], x["llmroute.decision"], x["llmroute.limit.kind"]) for x in lines]
    assert decided == [(401, "rejected", "none"), (404, "rejected", "none"), (200, "admitted", "tokens")]


@pytest.mark.parametrize(
    ("name", "credentials"),
    [
        ("api-keys", {}),
        ("api-keys", {"authorization": "Bearer nobody's"}),
        ("jwt-identity", {}),
        ("jwt-identity", {"authorization": "Bearer no.token.atall"}),
    ],
    ids=["no-key", "unknown-key", "no-token", "bad-token"],
)
def test_nobodys_requests(told: Start, name: str, credentials: dict[str, str]) -> None:
    """Rejected, whichever filter of the proxy does it."""
    gateway = told(LocalStack)
    client = gateway.serve(*yaml.safe_load_all((EXAMPLES / name / "llmroute.yaml").read_text(encoding="utf-8")))
    assert client.chat(headers=credentials).status == 401
    (line,) = gateway.lines(1)
    assert (line["llmroute.decision"], line["http.response.status_code"]) == ("rejected", 401)


def test_an_upstreams_own_answers(told: Start) -> None:
    """Its 401 and its 429 are those of a request that was admitted."""
    gateway = told(LocalStack)
    client = gateway.serve(POLICY)
    assert [client.chat(script=Script(status=status)).status for status in (401, 429)] == [401, 429]
    lines = gateway.lines(2)
    assert [(x["llmroute.decision"], x["llmroute.details"]) for x in lines] == [("admitted", "via_upstream")] * 2


def test_a_refusal_that_is_the_filters(told: Start) -> None:
    """With PrepaidPrompt the filter asks and refuses: the line is that of any other refusal."""
    gateway = told(LocalStack)
    client = gateway.serve(with_spec(POLICY, admission={"mode": "PrepaidPrompt"}))
    assert client.chat(90).status == 200
    assert client.settled(90) == 90
    assert_refused(client.chat(1))
    *_, line = gateway.lines(2)
    limits = [line[f"llmroute.limit.{name}"] for name in ("kind", "quantity", "remaining")]
    assert (line["llmroute.decision"], line["user.id"], limits) == ("refused", client.user, ["tokens", "85", "0"])


def test_a_service_that_is_away(told: Start) -> None:
    """It fails closed, the line says why, and Envoy counts it."""
    gateway = told(LocalStack)
    assert isinstance(gateway.stack, LocalStack)
    client = gateway.serve(POLICY)
    gateway.stack.outage().kill()
    try:
        assert client.chat(37).status == 503
    finally:
        gateway.stack.outage().start()
    (line,) = gateway.lines(1)
    assert (line["llmroute.decision"], line["llmroute.details"]) == ("unavailable", "rate_limiter_error")
    assert gateway.counters("envoy_cluster_ratelimit_error") == {
        'envoy_cluster_ratelimit_error{envoy_cluster_name="default/route/llm"}': 1
    }


def test_a_service_that_is_away_and_fails_open(told: Start) -> None:
    """What passes unmetered is counted apart."""
    gateway = told(LocalStack)
    assert isinstance(gateway.stack, LocalStack)
    gateway.stack.fail_closed = False
    client = gateway.serve(POLICY)
    gateway.stack.outage().kill()
    try:
        assert client.chat(37).status == 200
    finally:
        gateway.stack.outage().start()
    assert gateway.counters("envoy_cluster_ratelimit_(error|failure_mode_allowed)") == {
        'envoy_cluster_ratelimit_error{envoy_cluster_name="default/route/llm"}': 1,
        'envoy_cluster_ratelimit_failure_mode_allowed{envoy_cluster_name="default/route/llm"}': 1,
    }


def test_users_of_several_headers(told: Start) -> None:
    """Two routes with two headers: each in a field of its own."""
    gateway = told(LocalStack)
    one = with_spec(
        route(name="one", a=[rule(limit(9), headers=[header("x-a", "Distinct")])]), identity={"header": "x-a"}
    )
    two = with_spec(
        route(name="two", b=[rule(limit(9), headers=[header("x-b", "Distinct")])]), identity={"header": "x-b"}
    )
    client = gateway.serve(one, two)
    client.chat(1, headers={names.BACKEND_HEADER: "b", "x-b": "bob"})
    (line,) = gateway.lines(1)
    assert "user.id" not in line
    assert (line["http.request.header.x-a"], line["http.request.header.x-b"]) == (None, "bob")
    assert list(line) == sorted(fields(["x-a", "x-b"]))
