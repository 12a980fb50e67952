"""What a gateway tells of its requests: the line of the access log, Envoy's counters and the service's.

A plain Envoy is told to by options of its bootstrap, so these tests have gateways of their own.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import yaml

from e2e.capability import lacking
from e2e.client import Client, assert_refused, usage, wait_for
from e2e.stacks.local import EnvoyStack, LocalStack, ProcessStack
from e2e.stacks.protocol import Unavailable
from llmroute import names
from llmroute.conformance.adapters.plain import plain_plan
from llmroute.conformance.upstream import Script, ScriptedUpstream
from llmroute.conformance.windows import wait_until_clear
from llmroute.emit.envoy_static import LISTENER, EnvoyOptions, envoy_static
from llmroute.emit.ratelimit_config import ratelimit_config
from llmroute.emit.telemetry import fields
from llmroute.local.envoy import EnvoyProcess
from llmroute.local.ratelimit_service import EmbeddedRateLimit
from llmroute.plan import Endpoint, Unit
from tests.observability import used_metrics
from tests.policies import header, limit, route, rule, text, with_spec

TELLS_WITHIN: Final = 30.0
"""Seconds; ratelimit hands its counters to Prometheus every 10."""
EXAMPLES: Final = Path(__file__).parent.parent / "manifests" / "examples"
USERS: Final = [header(names.USER_HEADER, "Distinct")]
POLICY: Final = route(rule(limit(85, unit="Day"), headers=USERS))
ROUTE: Final = "default/route/llm/unnamed"
CACHED: Final = usage(37, 27, 10) | {
    "prompt_tokens_details": {"cached_tokens": 8},
    "completion_tokens_details": {"reasoning_tokens": 4},
}


@pytest.fixture(autouse=True)
def _once(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--stack") != "local":
        pytest.skip("these tests have stacks of their own: --stack local")


class Told:
    """A gateway that tells, and what it has told so far."""

    def __init__(self, stack: EnvoyStack, log: Path) -> None:
        self.stack = stack
        self._log = log
        self._clients: list[Client] = []

    def serve(self, *documents: dict[str, Any]) -> Client:
        """The policy in force, and a client."""
        self.stack.apply(text(*documents))
        self._clients.append(Client(self.stack))
        return self._clients[-1]

    def close(self) -> None:
        """Close the clients' connections, then the stack."""
        for client in self._clients:
            client.close()
        self.stack.__exit__(None, None, None)

    def lines(self, count: int) -> list[dict[str, Any]]:
        """The first ``count`` lines of the log; there are no more."""
        admin = self.stack.gateway.envoy.admin_url

        def written() -> list[str]:
            httpx.post(f"{admin}/reopen_logs", trust_env=False).raise_for_status()  # Envoy holds lines for 10 s
            return self._log.read_text(encoding="utf-8").splitlines()

        assert wait_for(lambda: len(written()) >= count)
        found = written()
        assert len(found) == count
        return [json.loads(line) for line in found]

    def counters(self, pattern: str) -> dict[str, float]:
        """Envoy's counters, as Prometheus sees them, whose name and labels match."""
        return metrics(f"{self.stack.gateway.envoy.admin_url}/stats/prometheus", pattern)


def metrics(url: str, pattern: str) -> dict[str, float]:
    """Name and labels to value, of all that match."""
    lines = httpx.get(url, trust_env=False).raise_for_status().text.splitlines()
    pairs = (line.rpartition(" ") for line in lines if line and not line.startswith("#"))
    return {name: float(value) for name, _, value in pairs if re.match(pattern, name)}


@pytest.fixture
def told(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[type[EnvoyStack]], Told]]:
    """``told(LocalStack)``: a stack that tells."""
    running: list[Told] = []

    def start(kind: type[EnvoyStack]) -> Told:
        log = tmp_path / "requests.jsonl"
        try:
            running.append(Told(kind(access_log=log).__enter__(), log))
        except Unavailable as missing:
            lacking(request.config, missing)
        return running[-1]

    yield start
    for one in running:
        one.close()


Start = Callable[[type[EnvoyStack]], Told]


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
        f'envoy_llmroute_tokens{{llmroute_route="{ROUTE}",llmroute_token_type="input"}}': 39,
        f'envoy_llmroute_tokens{{llmroute_route="{ROUTE}",llmroute_token_type="output"}}': 36,
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


@contextlib.contextmanager
def faulty(folder: Path) -> Iterator[EnvoyProcess]:
    """An Envoy whose filter has had one fault: it is to call a cluster that is not there. ``folder`` gets its log."""
    policy = text(with_spec(POLICY, admission={"settle": "Sync"}))
    with ScriptedUpstream() as upstream, contextlib.ExitStack() as running:
        plan = plain_plan(policy, upstream.port)
        (config,) = ratelimit_config(plan)
        (folder / "ratelimit.yaml").write_text(config.text, encoding="utf-8")
        service = running.enter_context(EmbeddedRateLimit([folder / "ratelimit.yaml"], time.time))
        free, log = Endpoint("127.0.0.1", 0), str(folder / "log")
        options = EnvoyOptions(free, free, Endpoint.parse(service.address), access_log=log, usage_counters=True)
        made = envoy_static(plan, options).text
        bootstrap, changed = re.subn(r"(settle:\n +cluster: )ratelimit\n", r"\1nowhere\n", made)
        assert changed
        envoy = running.enter_context(EnvoyProcess(bootstrap, folder / "envoy"))
        host, port = envoy.listener_address(LISTENER)
        body = {"model": "m", "messages": []}
        answer = httpx.post(f"http://{host}:{port}/v1/chat/completions", json=body, trust_env=False)
        assert answer.status_code == 200
        url = f"{envoy.admin_url}/stats/prometheus"
        assert wait_for(lambda: metrics(url, "envoy_llmroute_filter_errors") != {})
        yield envoy


def test_a_fault_of_the_filter(tmp_path: Path) -> None:
    """The answer goes on; the fault is in the line, and counted. It is none of Envoy's: the filter caught it."""
    with faulty(tmp_path) as envoy:
        found = metrics(f"{envoy.admin_url}/stats/prometheus", "envoy_llmroute_filter_errors|envoy_http_lua_errors")
        assert found == {
            f'envoy_llmroute_filter_errors{{llmroute_route="{ROUTE}"}}': 1,
            'envoy_http_lua_errors{envoy_http_conn_manager_prefix="llmroute"}': 0,
        }
        httpx.post(f"{envoy.admin_url}/reopen_logs", trust_env=False).raise_for_status()
        log = tmp_path / "log"
        assert wait_for(lambda: log.read_text(encoding="utf-8").count("\n") == 1)
        assert json.loads(log.read_text(encoding="utf-8"))["llmroute.filter.errors"] == 1


def test_the_counters_of_the_service(told: Start, tmp_path: Path) -> None:
    """envoyproxy/ratelimit for Prometheus, by domain and limit: tokens; those past four fifths of it, and past it.

    With Envoy's, after an outage and a fault, they are all that rules and dashboard use.
    """
    gateway = told(ProcessStack)
    assert isinstance(gateway.stack, ProcessStack)
    wait_until_clear({Unit.DAY})
    gateway.stack.fail_closed = False
    client = gateway.serve(POLICY)
    for n in range(1, 4):
        assert client.chat(37).status == 200
        assert client.settled(37 * n) == 37 * n
    assert_refused(client.chat(37))
    url, prefix = gateway.stack.metrics_url, "ratelimit_service_rate_limit_"
    deadline = time.monotonic() + TELLS_WITHIN
    while sum((hits := metrics(url, f"{prefix}total_hits")).values()) != 111:
        assert time.monotonic() < deadline, hits
        time.sleep(0.1)
    (name,) = hits
    assert re.search(r'domain="default/route",key1="limit_llm/tokens/day/\w+",key2="x-user-id"', name)
    found = {name.partition("{")[0]: value for name, value in metrics(url, prefix).items()}
    assert found == {
        f"{prefix}total_hits": 111,
        f"{prefix}within_limit": 74,
        f"{prefix}near_limit": 84 - 67,
        f"{prefix}over_limit": 111 - 84,
    }
    gateway.stack.outage().kill()
    try:
        assert client.chat(37).status == 200
        seen = set(gateway.counters("envoy_"))
    finally:
        gateway.stack.outage().start()
    with faulty(tmp_path) as envoy:
        seen |= set(metrics(f"{envoy.admin_url}/stats/prometheus", "envoy_"))
    assert used_metrics() - set(found) - {name.partition("{")[0] for name in seen} == set()
