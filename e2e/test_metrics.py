"""The metrics that rules and dashboard use are there: Envoy's counters and the service's, through faults and outages."""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from e2e.client import assert_refused, wait_for
from e2e.stacks.local import ProcessStack
from e2e.telling import POLICY, ROUTE, TELLS_WITHIN, Start, metrics, told
from llmroute.conformance.adapters.plain import plain_plan
from llmroute.conformance.upstream import ScriptedUpstream
from llmroute.conformance.windows import wait_until_clear
from llmroute.emit.envoy_static import LISTENER, EnvoyOptions, envoy_static
from llmroute.emit.ratelimit_config import ratelimit_config
from llmroute.local.envoy import EnvoyProcess
from llmroute.local.ratelimit_service import EmbeddedRateLimit
from llmroute.plan import Endpoint, Unit
from tests.observability import used_metrics
from tests.policies import text, with_spec

__all__ = ["told"]


@pytest.fixture(autouse=True)
def _once(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--stack") != "local":
        pytest.skip("these tests have stacks of their own: --stack local")


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
        bootstrap, changed = re.subn(r'("settle": {\n +"cluster": )"ratelimit"', r'\1"nowhere"', made)
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


@pytest.mark.slow
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
    assert wait_for(lambda: sum(metrics(url, f"{prefix}total_hits").values()) == 111, TELLS_WITHIN)
    (name,) = metrics(url, f"{prefix}total_hits")
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
