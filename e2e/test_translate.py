"""Envoy Gateway's own translator on every example's output: what it accepts, and what it makes of the costs.

``egctl`` carries the translator that runs in a cluster, Strict validation of Lua included. The standalone
stack has to write the check's cost in another way (PLATFORM 6.7); here it is as it was generated.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from e2e.capability import lacking
from e2e.stacks.protocol import Unavailable
from e2e.stacks.tools import tool
from llmroute.emit.telemetry import fields
from tests.policies import USER, compiled, header, limit, route, rule, with_spec
from tools.observability import ENVOY_PROXY

pytestmark = pytest.mark.slow

OUTPUTS: Final = sorted((Path(__file__).parent.parent / "manifests" / "examples").glob("*/out/envoy-gateway.yaml"))
READ: Final = (
    "GatewayClass",
    "Gateway",
    "HTTPRoute",
    "Backend",
    "Service",
    "EnvoyExtensionPolicy",
    "BackendTrafficPolicy",
    "SecurityPolicy",
    "Secret",
)
"""Kinds that the translator reads; a Deployment is none of its business."""
GATEWAY: Final = """\
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: eg}
spec: {controllerName: gateway.envoyproxy.io/gatewayclass-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: ai-eg}
spec: {gatewayClassName: eg, listeners: [{name: http, protocol: HTTP, port: 80}]}
"""
WITHIN: Final = 60.0


@pytest.fixture(scope="module")
def egctl(request: pytest.FixtureRequest) -> Path:
    """The program, or a skip that names it."""
    try:
        return tool("egctl")
    except Unavailable as missing:
        lacking(request.config, missing)


@dataclass(frozen=True)
class Example:
    """An example's output, and what the translator makes of it: statuses, and Envoy's routes."""

    documents: list[dict[str, Any]]
    answer: Any


@pytest.fixture(scope="module", params=OUTPUTS, ids=lambda path: path.parent.parent.name)
def example(request: pytest.FixtureRequest, egctl: Path, tmp_path_factory: pytest.TempPathFactory) -> Example:
    """Each example, translated once."""
    documents = read(request.param)
    return Example(documents, translate(egctl, documents, tmp_path_factory.mktemp("translate")))


def read(output: Path) -> list[dict[str, Any]]:
    """The documents, with a Gateway where there is none, and with the namespace that ``kubectl`` would choose."""
    return completed(output.read_text("utf-8"))


def completed(text: str) -> list[dict[str, Any]]:
    """The same of a stream."""
    found = [d for d in yaml.safe_load_all(text) if d and d["kind"] in READ]
    if "Gateway" not in {d["kind"] for d in found}:
        found += yaml.safe_load_all(GATEWAY)
    for document in found:
        if document["kind"] != "GatewayClass":
            document["metadata"].setdefault("namespace", "default")
    return found


def translate(egctl: Path, documents: list[dict[str, Any]], folder: Path, kind: str = "route") -> Any:
    """What the translator answers, of Envoy's configuration the part of a ``kind``."""
    file = folder / "input.yaml"
    file.write_text(yaml.safe_dump_all(documents), "utf-8")
    options = ["--from", "gateway-api", "--to", "gateway-api,xds", "--type", kind]
    command = [str(egctl), "x", "translate", *options, "-f", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=WITHIN)
    assert done.returncode == 0, done.stderr
    return yaml.load(done.stdout, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 both are safe


def conditions(answer: Any) -> Iterator[tuple[str, str, str, str]]:
    """Kind, type, status and message of each condition of the routes and policies."""
    for plural in ("httpRoutes", "envoyExtensionPolicies", "backendTrafficPolicies", "securityPolicies"):
        for resource in answer.get(plural, []):
            status = resource["status"]
            for parent in status.get("parents") or status["ancestors"]:
                for condition in parent["conditions"]:
                    yield resource["kind"], condition["type"], condition["status"], condition["message"]


def test_every_example_is_accepted(example: Example) -> None:
    """Route and policies are accepted, references resolve, the script passes Strict validation; nothing else is said."""
    found = list(conditions(example.answer))
    assert [f for f in found if f[2] != "True"] == []
    secured = any(d["kind"] == "SecurityPolicy" for d in example.documents)
    assert {(kind, condition) for kind, condition, _, _ in found} == {
        ("HTTPRoute", "Accepted"),
        ("HTTPRoute", "ResolvedRefs"),
        ("EnvoyExtensionPolicy", "Accepted"),
        ("BackendTrafficPolicy", "Accepted"),
        *([("SecurityPolicy", "Accepted")] if secured else []),
    }
    gateways = example.answer["gateways"]
    assert [listener["attachedRoutes"] for g in gateways for listener in g["status"]["listeners"]] == [1]


def test_costs_reach_envoy_as_they_were_written(example: Example) -> None:
    """On every route of every example: each rule's check with its number, then the charge from the metadata."""
    (policy,) = [d for d in example.documents if d["kind"] == "BackendTrafficPolicy"]
    expected = list(_costs(policy["spec"]["rateLimit"]["global"]["rules"]))
    routes = [each for each in routes_of(example.answer) if "route" in each]
    assert routes
    for each in routes:
        (limited,) = [f for f in each["typedPerFilterConfig"].values() if "rateLimits" in f]
        assert [(r["hitsAddend"], r.get("applyOnStreamDone", False)) for r in limited["rateLimits"]] == expected


def routes_of(answer: Any) -> list[dict[str, Any]]:
    """Envoy's routes."""
    (dump,) = answer["xds"].values()
    hosts = [host for config in dump["dynamicRouteConfigs"] for host in config["routeConfig"]["virtualHosts"]]
    return [route for host in hosts for route in host["routes"]]


def _costs(rules: list[dict[str, Any]]) -> Iterator[tuple[dict[str, str], bool]]:
    for each in rules:
        yield _hits(each["cost"]["request"]), False
        if "response" in each["cost"]:
            yield _hits(each["cost"]["response"]), True


def _hits(cost: dict[str, Any]) -> dict[str, str]:
    if cost["from"] == "Number":
        return {"number": str(cost["number"])}
    return {"format": f"%DYNAMIC_METADATA({cost['metadata']['namespace']}:{cost['metadata']['key']})%"}


@pytest.mark.parametrize(
    "script",
    ["function envoy_on_request(h) setmetatable({}, {}) end", "function envoy_on_response(h) h:clearRouteCache() end"],
    ids=["forbidden-function", "unknown-method"],
)
def test_a_bad_script_is_refused(egctl: Path, script: str, tmp_path: Path) -> None:
    """So the validation above is real: the policy is not accepted, and says what is wrong with the script."""
    documents = read(OUTPUTS[0])
    for document in documents:
        if document["kind"] == "EnvoyExtensionPolicy":
            document["spec"]["lua"][0]["inline"] = script
    answer = translate(egctl, documents, tmp_path)
    refused = [(kind, message) for kind, _, status, message in conditions(answer) if status == "False"]
    assert [kind for kind, _ in refused] == ["EnvoyExtensionPolicy"]
    assert "Lua: validation failed" in refused[0][1]


SEVERAL: Final[dict[str, Any]] = {"a": [rule(limit(10), headers=[header(USER, "Distinct")])], "b": [rule(limit(20))]}
JWKS: Final = '{"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "a", "alg": "HS256"}]}'
PROVIDER: Final = {"name": "corp", "issuer": "https://issuer.example.com", "localJWKS": {"inline": JWKS}}
BACKENDS: Final = [
    {
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "Backend",
        "metadata": {"name": name},
        "spec": {"endpoints": [{"ip": {"address": "192.0.2.1", "port": 80}}]},
    }
    for name in "ab"
]
SECRET: Final = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "keys"},
    "data": {"amy": "a2V5LW9mLWFteQ=="},
}


def translated(egctl: Path, folder: Path, spec: dict[str, Any]) -> list[dict[str, Any]]:
    """Envoy's routes for a policy with two backends and these fields; everything in it is accepted."""
    policy = route(**SEVERAL)
    policy["spec"] |= spec | {"targetRefs": [{"name": "ai-eg"}]}
    for backend, models in zip(policy["spec"]["backends"], (["m"], ["*"]), strict=True):
        backend["models"] = models
    made = compiled(policy, *BACKENDS, SECRET)
    assert made.artifacts, made.diagnostics
    documents = completed(made.artifacts[0].text)
    answer = translate(egctl, documents, folder)
    assert [found for found in conditions(answer) if found[2] != "True"] == []
    return routes_of(answer)


def test_the_rule_for_all_that_name_no_backend(egctl: Path, tmp_path: Path) -> None:
    """It has the filter, what that is told, and room for the body; and it leads nowhere, whatever the filter does."""
    first, second, last = translated(egctl, tmp_path, {"admission": {"maxInFlight": 3}})
    assert [r["match"].get("headers", [{}])[0].get("stringMatch") for r in (first, second)] == [
        {"exact": "a"},
        {"exact": "b"},
    ]
    assert last["match"] == {"prefix": "/"}
    assert last["directResponse"] == {"status": 500}
    configs = [r["typedPerFilterConfig"] for r in (first, last)]
    (lua,) = [name for name in configs[0] if "lua" in name]
    assert configs[0][lua] == configs[1][lua]
    assert configs[1]["envoy.filters.http.buffer"] == configs[0]["envoy.filters.http.buffer"]


def test_a_provider_elsewhere_is_called_by_its_name(egctl: Path, tmp_path: Path) -> None:
    """Envoy asks it with its own name, in TLS and above; what the client called is another host."""
    policy = route(rule(limit(10)))
    policy["spec"]["targetRefs"] = [{"name": "ai-eg"}]
    spec = {"endpoints": [{"fqdn": {"hostname": "llm.example.com", "port": 443}}]}
    there = BACKENDS[0] | {"metadata": {"name": "llm"}, "spec": spec | {"tls": {"wellKnownCACertificates": "System"}}}
    answer = translate(egctl, completed(compiled(policy, there).artifacts[0].text), tmp_path)
    assert [found for found in conditions(answer) if found[2] != "True"] == []
    assert {r["route"]["hostRewriteLiteral"] for r in routes_of(answer)} == {"llm.example.com"}


def test_a_token_is_verified_on_every_route(egctl: Path, tmp_path: Path) -> None:
    """Also where nobody has chosen a backend yet: routes are not verified again after that."""
    routes = translated(egctl, tmp_path, {"identity": {"jwt": {"provider": PROVIDER}}})
    names = {r["typedPerFilterConfig"]["envoy.filters.http.jwt_authn"]["requirementName"] for r in routes}
    assert (len(routes), len(names)) == (3, 1)
    assert names.pop().startswith("corp-or-missing_")


def test_keys_come_from_the_secret_on_every_route(egctl: Path, tmp_path: Path) -> None:
    """And the client's name goes where limits look for the user."""
    routes = translated(egctl, tmp_path, {"identity": {"apiKey": {"credentialRefs": [{"name": "keys"}]}}})
    configs = [r["typedPerFilterConfig"]["envoy.filters.http.api_key_auth"] for r in routes]
    assert [(c["credentials"], c["forwarding"], c["keySources"]) for c in configs] == [
        (
            [{"client": "amy", "key": "key-of-amy"}],
            {"header": USER, "hideCredentials": True},
            [{"header": "x-api-key"}],
        )
    ] * 3


def test_the_access_log_of_the_envoy_proxy(egctl: Path, tmp_path: Path) -> None:
    """``manifests/observability``: Envoy gets the line as it stands, once, for requests alone."""
    proxy = yaml.safe_load(ENVOY_PROXY.read_text(encoding="utf-8"))
    proxy["metadata"]["namespace"] = "default"
    reference = {"group": "gateway.envoyproxy.io", "kind": "EnvoyProxy", "name": proxy["metadata"]["name"]}
    policy = with_spec(route(rule(limit(1))), targetRefs=[{"name": "ai-eg"}])
    documents = completed(compiled(policy).artifacts[0].text)
    for document in documents:
        if document["kind"] == "Gateway":
            document["spec"]["infrastructure"] = {"parametersRef": reference}
    answer = translate(egctl, [*documents, proxy], tmp_path, "listener")
    assert list(json_formats(answer)) == [fields()]


def json_formats(value: Any) -> Iterator[Any]:
    """Of every access logger."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "jsonFormat":
                yield item
            else:
                yield from json_formats(item)
    elif isinstance(value, list):
        for item in value:
            yield from json_formats(item)
