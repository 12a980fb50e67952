"""The pure parts of the standalone stack: documents for a host, names of counters, when a policy is in force."""

from __future__ import annotations

import copy
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.stacks import standalone, tools
from e2e.stacks.gateway_limits import limits_of
from e2e.stacks.gateway_status import refusals
from e2e.stacks.host_documents import Host, host_documents, secret_in_base64, without_cost_numbers
from e2e.stacks.in_force import missing
from e2e.stacks.protocol import Unavailable
from llmroute.conformance.windows import NEEDED, clear_of_window_ends, window_start
from llmroute.plan import Endpoint, Unit
from llmroute.targets import ENVOY_GATEWAY, WASM, capabilities
from tests.policies import MODEL, USER, compiled, header, limit, route, rule

PORT = 10080
HOST = Host("1.39.1", PORT, Endpoint("127.0.0.1", 1), Endpoint("127.0.0.1", 2), Path("/certificates"))
BACKEND = {"apiVersion": "gateway.envoyproxy.io/v1alpha1", "kind": "Backend", "metadata": {"name": "llm"}}


def on_host(*documents: dict[str, Any]) -> list[dict[str, Any]]:
    """What the stack gives to Envoy Gateway for an input."""
    result = compiled(*documents)
    assert result.artifacts, result.diagnostics
    return host_documents(yaml.safe_load_all(result.artifacts[0].text), result.plan, HOST)


def dump(documents: list[dict[str, Any]]) -> dict[str, Any]:
    """A ``/config_dump`` of an Envoy that serves them, cut down to what is looked at."""
    (http_route,) = [d for d in documents if d["kind"] == "HTTPRoute"]
    name = f"default/{http_route['metadata']['name']}"
    actions = sum(each.actions for each in limits_of(documents))
    (extension,) = [d for d in documents if d["kind"] == "EnvoyExtensionPolicy"]
    context = copy.deepcopy(extension["spec"]["lua"][0]["filterContext"])
    filters: dict[str, Any] = {"envoy.filters.http.lua/x": {"filter_context": context}}
    if actions:
        filters["envoy.filters.http.ratelimit/x"] = {"domain": name, "rate_limits": [{}] * actions}
    routes = [
        {"name": f"httproute/{name}/rule/{i}/match/{j}/*", "route": {}, "typed_per_filter_config": filters}
        for i, r in enumerate(http_route["spec"]["rules"])
        for j in range(len(r["matches"]))
    ]
    listener = {"address": {"socket_address": {"port_value": PORT}}}
    return {
        "configs": [
            {"@type": "x.ListenersConfigDump", "dynamic_listeners": [{"active_state": {"listener": listener}}, {}]},
            {"@type": "x.ClustersConfigDump", "dynamic_active_clusters": [{"cluster": {"name": "ratelimit_cluster"}}]},
            {
                "@type": "x.RoutesConfigDump",
                "dynamic_route_configs": [{"route_config": {"virtual_hosts": [{"routes": routes}]}}],
            },
        ]
    }


TOKENS = route(
    rule(limit(10), headers=[header(MODEL, "Exact", "m"), header(USER, "Distinct")]), rule(limit(5, "Request"))
)


def test_generated_documents_stay_but_for_the_number_of_the_cost() -> None:
    """A check of 0 reads a metadata key that is 0; one of 1 is left out; the rest is as generated."""
    generated = list(yaml.safe_load_all(compiled(TOKENS).artifacts[0].text))
    before = copy.deepcopy(generated)
    policy = without_cost_numbers(generated[2])
    assert generated == before
    tokens, requests = policy["spec"]["rateLimit"]["global"]["rules"]
    assert tokens["cost"]["request"] == {"from": "Metadata", "metadata": {"namespace": "llmroute", "key": "no_cost"}}
    assert "cost" not in requests
    for was, now in zip(generated[2]["spec"]["rateLimit"]["global"]["rules"], (tokens, requests), strict=True):
        costs = [{k: v for k, v in r.get("cost", {}).items() if k != "request"} for r in (was, now)]
        assert costs[0] == costs[1]
        assert {k: v for k, v in was.items() if k != "cost"} == {k: v for k, v in now.items() if k != "cost"}
    assert [without_cost_numbers(d) for d in generated[:2]] == generated[:2]


def test_backends_and_gateways_of_the_input_are_replaced() -> None:
    """A Backend on loopback by the name that the policy uses, a Gateway by the name that it attaches to."""
    documents = on_host(TOKENS, BACKEND | {"spec": {"endpoints": [{"fqdn": {"hostname": "x.org", "port": 80}}]}})
    assert all(d["metadata"].get("namespace") == "default" for d in documents if d["kind"] != "GatewayClass")
    (backend,) = [d for d in documents if d["kind"] == "Backend"]
    assert backend["spec"] == {"endpoints": [{"ip": {"address": "127.0.0.1", "port": 1}}]}
    (gateway,) = [d for d in documents if d["kind"] == "Gateway"]
    assert (gateway["metadata"]["name"], gateway["spec"]["listeners"][0]["port"]) == ("gateway", PORT)


def test_without_a_limit_there_is_no_cluster_to_patch() -> None:
    """Envoy Gateway reports a patch of what is not there."""
    kinds = {d["kind"] for d in on_host(route(name="free"))}
    assert "EnvoyPatchPolicy" not in kinds
    assert "HTTPRoute" in kinds


def test_limits_and_counters_have_envoy_gateways_names() -> None:
    """As seen in a real Redis and in a real ratelimit's /rlconfig."""
    first, second = limits_of(on_host(TOKENS))
    assert first.shown == (
        "default/route.default/route/rule/0_default/route/rule/0.rule-0-match-0_rule-0-match-0.rule-0-match-1:"
        " unit=HOUR requests_per_unit=9, shadow_mode: false, quota_mode: false"
    )
    assert first.counter(["amy"], 3600) == (
        "default/route_default/route/rule/0_default/route/rule/0_rule-0-match-0_rule-0-match-0_rule-0-match-1_amy_3600"
    )
    assert second.counter([], 0) == (
        "default/route_default/route/rule/1_default/route/rule/1_rule-1-match--1_rule-1-match--1_0"
    )


def test_all_there_is_in_force() -> None:
    """Nothing is missing then."""
    documents = on_host(TOKENS)
    assert missing(dump(documents), documents, limits_of(documents), PORT) == []


@pytest.mark.parametrize(
    ("config", "field", "said"),
    [
        (0, "dynamic_listeners", "an active listener on port 10080"),
        (1, "dynamic_active_clusters", "the ratelimit cluster"),
        (2, "dynamic_route_configs", "route httproute/default/route/rule/0/match/0/"),
    ],
)
def test_what_is_not_there_is_named(config: int, field: str, said: str) -> None:
    """In words, for the error of a policy that never comes in force."""
    documents = on_host(TOKENS)
    served = dump(documents)
    served["configs"][config][field] = []
    assert said in missing(served, documents, limits_of(documents), PORT)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: r.pop("route"), "the backend"),
        (lambda r: r["typed_per_filter_config"].pop("envoy.filters.http.lua/x"), "the filter"),
        (lambda r: r["typed_per_filter_config"].pop("envoy.filters.http.ratelimit/x"), "the limits"),
        (lambda r: r["typed_per_filter_config"]["envoy.filters.http.ratelimit/x"]["rate_limits"].pop(), "the limits"),
        (
            lambda r: r["typed_per_filter_config"]["envoy.filters.http.lua/x"]["filter_context"].pop("route"),
            "the filter context",
        ),
    ],
)
def test_a_route_without_its_filters_is_not_in_force(change: Any, said: str) -> None:
    """Half a policy would let requests pass uncounted."""
    documents = on_host(TOKENS)
    served = copy.deepcopy(dump(documents))
    change(served["configs"][2]["dynamic_route_configs"][0]["route_config"]["virtual_hosts"][0]["routes"][0])
    assert missing(served, documents, limits_of(documents), PORT)[0].startswith(said)


def test_a_secret_is_kept_as_an_api_server_would_keep_it() -> None:
    """Envoy Gateway reads no ``stringData``; where a name stands twice the text counts."""
    secret = {"kind": "Secret", "metadata": {"name": "s"}, "data": {"a": "YQ==", "b": "Yg=="}, "stringData": {"b": "c"}}
    kept = {"kind": "Secret", "metadata": {"name": "s"}, "data": {"a": "YQ==", "b": "Yw=="}}
    assert secret_in_base64(secret) == kept
    policy = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"b": "c"}}
    (found,) = [d for d in on_host(TOKENS, policy) if d["kind"] == "Secret"]
    assert (found["data"], found["metadata"]["namespace"]) == ({"b": "Yw=="}, "default")


def test_a_rule_that_leads_nowhere_is_in_force_without_a_backend() -> None:
    """Of a policy that chooses by model: no limits either, but the filter."""
    policy = route(a=[rule(limit(1))], b=[])
    policy["spec"]["backends"][0]["models"] = ["m"]
    documents = on_host(policy)
    served = dump(documents)
    routes = served["configs"][2]["dynamic_route_configs"][0]["route_config"]["virtual_hosts"][0]["routes"]
    routes[2] = routes[2] | {"direct_response": {"status": 500}}
    del routes[2]["route"]
    routes[2]["typed_per_filter_config"] = {
        "envoy.filters.http.lua/x": routes[0]["typed_per_filter_config"]["envoy.filters.http.lua/x"]
    }
    assert missing(served, documents, limits_of(documents), PORT) == []
    routes[2]["typed_per_filter_config"] = {}
    assert missing(served, documents, limits_of(documents), PORT)[0].startswith("the filter")


def test_a_policy_with_an_identity_is_not_in_force_without_it() -> None:
    """Else whoever asks first would be anybody."""
    policy = route(rule(limit(1)))
    policy["spec"]["identity"] = {"apiKey": {"credentialRefs": [{"name": "s"}]}}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"a": "b"}}
    documents = on_host(policy, secret)
    served = dump(documents)
    said = missing(served, documents, limits_of(documents), PORT)
    assert [m.partition(" of ")[0] for m in said] == ["the identity"] * 2
    for each in served["configs"][2]["dynamic_route_configs"][0]["route_config"]["virtual_hosts"][0]["routes"]:
        each["typed_per_filter_config"] |= {"envoy.filters.http.api_key_auth": {}}
    assert missing(served, documents, limits_of(documents), PORT) == []


def status(kind: str, value: str, message: str) -> str:
    """Lines of Envoy Gateway's log, as it writes them."""
    condition = f'    message: "{message}"\n    reason: Any\n    status: "{value}"\n    type: Accepted\n'
    return (
        f"2026-11-24T20:07:07.610Z\tinfo\tprovider\tfile/status.go:87\tGot new status for {kind}\n"
        f'ancestors:\n- conditions:\n  - lastTransitionTime: "2026-11-24T20:07:07Z"\n{condition}'
        '\t{"runner": "provider", "key": "default/route"}\n'
    )


def test_what_envoy_gateway_refuses_is_read_from_its_log() -> None:
    """The last status of each document counts."""
    log = (
        status("HTTPRoute", "False", "not yet")
        + status("EnvoyExtensionPolicy", "False", "Lua: validation failed\\nhere")
        + "something else\n"
        + status("HTTPRoute", "True", "fine")
    )
    said = "EnvoyExtensionPolicy default/route: Accepted is False: Lua: validation failed\nhere"
    assert refusals(log) == [said]


@pytest.mark.parametrize("unit", [Unit.MINUTE, Unit.HOUR, Unit.DAY])
def test_a_test_begins_clear_of_the_end_of_its_window(unit: Unit) -> None:
    """Within the last seconds of a window no test begins; from the first of the next it may."""
    start = 1_795_478_400
    assert window_start(start + unit.seconds - 0.01, unit) == start
    assert clear_of_window_ends([unit], start)
    assert clear_of_window_ends([unit], start + unit.seconds - NEEDED)
    assert not clear_of_window_ends([unit], start + unit.seconds - NEEDED + 0.1)
    assert not clear_of_window_ends([Unit.MINUTE, unit], start + unit.seconds - 0.1)
    assert clear_of_window_ends([Unit.SECOND], start + 0.9), "too short to wait for"


def test_a_tool_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that gets it."""
    monkeypatch.setattr(tools, "on_path", lambda *_: None)
    with pytest.raises(Unavailable, match=r"envoy-gateway is neither in \.tools nor on PATH: make tools"):
        tools.tool("envoy-gateway")


def test_taken_ports_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Envoy Gateway cannot take others."""
    monkeypatch.setattr(standalone, "tool", lambda name: name)
    answers = itertools.chain([False], itertools.repeat(True))  # noqa: FBT003
    monkeypatch.setattr(standalone, "port_is_free", lambda *_: next(answers))
    with pytest.raises(Unavailable, match=r"needs ports that are taken: 8081$"):
        standalone.StandaloneStack()


def wasm_on_host(*documents: dict[str, Any]) -> list[dict[str, Any]]:
    """The same, with the module."""
    target = capabilities(ENVOY_GATEWAY, engine=WASM, module_url="http://127.0.0.1:9/filter.wasm")
    result = compiled(*documents, target=target)
    assert result.artifacts, result.diagnostics
    return host_documents(yaml.safe_load_all(result.artifacts[0].text), result.plan, HOST)


def test_a_module_needs_a_script_that_says_what_a_check_costs() -> None:
    """In a file alone (PLATFORM 6.7); and Envoy is told where Envoy Gateway serves modules on this machine."""
    documents = wasm_on_host(TOKENS)
    (extension,) = [d["spec"] for d in documents if d["kind"] == "EnvoyExtensionPolicy"]
    (script,) = extension["lua"]
    assert 'set("llmroute", "no_cost", 0)' in script["inline"]
    assert len(extension["wasm"]) == 2
    patches = {d["metadata"]["name"] for d in documents if d["kind"] == "EnvoyPatchPolicy"}
    assert patches == {"ratelimit-address", "module-address"}
    assert {d["metadata"]["name"] for d in on_host(TOKENS) if d["kind"] == "EnvoyPatchPolicy"} == {"ratelimit-address"}


def test_what_modules_are_told_has_to_be_in_force() -> None:
    """It is in the listener, and the route enables it."""
    documents = wasm_on_host(TOKENS)
    (extension,) = [d for d in documents if d["kind"] == "EnvoyExtensionPolicy"]
    modules = extension["spec"]["wasm"]
    extension["spec"]["lua"][0]["filterContext"] = None
    served = dump(documents)
    names = [f"envoy.filters.http.wasm/x/{i}" for i in range(2)]
    for each in served["configs"][2]["dynamic_route_configs"][0]["route_config"]["virtual_hosts"][0]["routes"]:
        each["typed_per_filter_config"] |= {name: {} for name in names}
    listeners: Any = served["configs"][0]["dynamic_listeners"]
    listener = listeners[0]["active_state"]["listener"]
    filters: list[Any] = [
        {"name": name, "typed_config": {"config": {"configuration": {"value": json.dumps(module["config"])}}}}
        for name, module in zip(names, modules, strict=True)
    ]
    listener["filter_chains"] = [{"filters": [{"typed_config": {"http_filters": filters}}]}]
    assert missing(served, documents, limits_of(documents), PORT) == []
    filters[0]["typed_config"]["config"]["configuration"]["value"] = json.dumps({"contexts": []})
    assert missing(served, documents, limits_of(documents), PORT)[0].startswith("the filter context of")
