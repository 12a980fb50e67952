"""Identity, choice by model and the bound on requests in flight, as each target is told of them."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from click.testing import CliRunner

from llmroute import names
from llmroute.cli.generate import command
from llmroute.lower import StandIns
from llmroute.pipeline import compile_policies
from llmroute.plan import Endpoint
from llmroute.targets import COMPOSE, ENVOY, ENVOY_GATEWAY, capabilities
from tests.policies import USER, compiled, header, limit, read_context, route, rule, text

JWKS: Final = json.dumps({"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "a", "alg": "HS256"}]})
KEY: Final = "key-of-amy"
SECRET: Final = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "keys", "namespace": "default"},
    "data": {"amy": base64.b64encode(KEY.encode()).decode()},
}
BY_KEY: Final = {"apiKey": {"credentialRefs": [{"name": "keys"}]}}


def provider(**keys: Any) -> dict[str, Any]:
    """A provider of tokens."""
    return {"name": "corp", "issuer": "https://issuer.example.com", "audiences": ["llm"]} | keys


def jwt(**keys: Any) -> dict[str, Any]:
    """An identity by token."""
    return {"jwt": {"provider": provider(**keys), "claim": "realm.user"}}


def two_backends(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """A policy with two backends, one for a model and one for the rest, and where they are."""
    policy = route(a=[rule(limit(5), headers=[header(USER, "Distinct")])], b=[rule(limit(7))])
    for backend, models in zip(policy["spec"]["backends"], (["m"], ["*"]), strict=True):
        backend["models"] = models
    policy["spec"] |= spec
    places = [
        {
            "apiVersion": "gateway.envoyproxy.io/v1alpha1",
            "kind": "Backend",
            "metadata": {"name": name},
            "spec": {"endpoints": [{"ip": {"address": "192.0.2.1", "port": 80}}]},
        }
        for name in "ab"
    ]
    return [policy, *places]


def documents(spec: dict[str, Any]) -> dict[str, Any]:
    """What Envoy Gateway gets, by kind."""
    made = compiled(*two_backends(spec), SECRET)
    assert made.artifacts, made.diagnostics
    return {d["kind"]: d for d in yaml.safe_load_all(made.artifacts[0].text)}


def bootstrap(spec: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Envoy's connection manager, and its clusters by name."""
    made = compiled(*two_backends(spec), SECRET, target=ENVOY)
    assert made.artifacts, made.diagnostics
    return parts(made.artifacts[0].text)


def parts(text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The same of a bootstrap."""
    resources = yaml.safe_load(text)["static_resources"]
    manager: dict[str, Any] = resources["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    return manager, {cluster["name"]: cluster for cluster in resources["clusters"]}


def routes(manager: dict[str, Any]) -> list[dict[str, Any]]:
    """Envoy's routes."""
    found: list[dict[str, Any]] = manager["route_config"]["virtual_hosts"][0]["routes"]
    return found


def filters(manager: dict[str, Any]) -> list[str]:
    """The short names of the filters, in order."""
    return [each["name"].rpartition(".")[2] for each in manager["http_filters"]]


def test_without_an_identity_of_its_own_a_route_has_no_security_policy() -> None:
    """A header alone is the filter's business; Envoy has none of these filters either."""
    assert "SecurityPolicy" not in documents({"identity": {"header": "x-team"}})
    assert filters(bootstrap({})[0]) == ["lua", "ratelimit", "router"]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"localJWKS": {"inline": JWKS}}, {"localJWKS": {"type": "Inline", "inline": JWKS}}),
        ({"remoteJWKS": {"uri": "https://i/k"}}, {"remoteJWKS": {"uri": "https://i/k"}}),
    ],
)
@pytest.mark.parametrize("on_missing", ["Anonymous", "Reject"])
def test_a_token_on_envoy_gateway(keys: dict[str, Any], said: dict[str, Any], on_missing: str) -> None:
    """A request without one passes to the filter, which knows what the API's refusal looks like."""
    made = documents({"identity": jwt(**keys) | {"onMissing": on_missing}})
    policy = made["SecurityPolicy"]
    assert policy["spec"]["jwt"] == {"optional": True, "providers": [provider() | said]}
    assert policy["metadata"] == made["HTTPRoute"]["metadata"]
    assert policy["spec"]["targetRefs"] == made["BackendTrafficPolicy"]["spec"]["targetRefs"]


def test_keys_on_envoy_gateway() -> None:
    """Each place of a kind is an entry of its own; the client's name goes into the identity's header."""
    places = [{"params": ["k"]}, {"headers": ["X-One", "authorization"]}]
    api_key = BY_KEY["apiKey"] | {"extractFrom": places}
    made = documents({"identity": {"header": "X-Client", "apiKey": api_key}})
    assert made["SecurityPolicy"]["spec"]["apiKeyAuth"] == {
        "credentialRefs": [{"group": "", "kind": "Secret", "name": "keys"}],
        "extractFrom": [{"headers": ["x-one", "authorization"]}, {"params": ["k"]}],
        "forwardClientIDHeader": "x-client",
        "sanitize": True,
    }


def test_a_token_on_envoy() -> None:
    """Claims land where the filter looks for them; every route of the policy wants the same provider."""
    manager, _ = bootstrap({"identity": jwt(localJWKS={"inline": JWKS})})
    assert filters(manager) == ["jwt_authn", "lua", "ratelimit", "router"]
    config = manager["http_filters"][0]["typed_config"]
    (made,) = config["providers"].values()
    assert made["payload_in_metadata"] == "corp"
    assert made["local_jwks"] == {"inline_string": JWKS}
    assert (made["issuer"], made["audiences"]) == ("https://issuer.example.com", ["llm"])
    wanted = [each["typed_per_filter_config"]["envoy.filters.http.jwt_authn"] for each in routes(manager)]
    assert {each["requirement_name"] for each in wanted} == set(config["requirement_map"])
    context = read_context(routes(manager)[0]["typed_per_filter_config"]["envoy.filters.http.lua"]["filter_context"])
    assert context["metadata"][0] == {
        "header": USER,
        "namespace": "envoy.filters.http.jwt_authn",
        "path": ["corp", "realm", "user"],
        "default": "",
    }


@pytest.mark.parametrize(
    ("uri", "name", "port", "san"),
    [
        ("https://i.example.com/keys", "jwks/https/i.example.com:443", 443, {"san_type": "DNS"}),
        ("https://192.0.2.7:8443/keys", "jwks/https/192.0.2.7:8443", 8443, {"san_type": "IP_ADDRESS"}),
        ("http://i.example.com:81/keys", "jwks/http/i.example.com:81", 81, None),
    ],
)
def test_where_envoy_fetches_keys(uri: str, name: str, port: int, san: dict[str, str] | None) -> None:
    """From a cluster of their own; over TLS its certificate has to be that host's."""
    manager, clusters = bootstrap({"identity": jwt(remoteJWKS={"uri": uri})})
    (made,) = manager["http_filters"][0]["typed_config"]["providers"].values()
    http_uri = made["remote_jwks"]["http_uri"]
    assert (http_uri["uri"], http_uri["cluster"]) == (uri, name)
    host = clusters[name]["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]
    assert host["address"]["socket_address"]["port_value"] == port
    assert ("transport_socket" in clusters[name]) == (san is not None)
    if san:
        assert san.items() <= sans(clusters[name])[0].items()


def sans(cluster: dict[str, Any]) -> list[dict[str, Any]]:
    """The names that a cluster's certificates may have."""
    context = cluster["transport_socket"]["typed_config"]["common_tls_context"]["validation_context"]
    assert context["trusted_ca"] == {"filename": "/etc/ssl/certs/ca-certificates.crt"}
    found: list[dict[str, Any]] = context["match_typed_subject_alt_names"]
    return found


def test_a_backend_with_tls_has_to_have_its_own_certificate() -> None:
    """Not just any that an authority has signed."""
    stand_in: StandIns = {None: Endpoint("model.example.com", 443, tls=True)}
    made = compile_policies([("p", text(*two_backends({})))], capabilities(ENVOY), stand_ins=stand_in)
    _, clusters = parts(made.artifacts[0].text)
    assert sans(clusters["default/route/a"]) == [{"san_type": "DNS", "matcher": {"exact": "model.example.com"}}]


def test_keys_on_envoy() -> None:
    """The filter is off but where a route has keys; those come from the Secret of the input."""
    manager, _ = bootstrap({"identity": BY_KEY})
    assert filters(manager) == ["api_key_auth", "lua", "ratelimit", "router"]
    assert manager["http_filters"][0]["disabled"] is True
    for each in routes(manager):
        config = each["typed_per_filter_config"]["envoy.filters.http.api_key_auth"]
        assert config["credentials"] == [{"client": "amy", "key": KEY}]
        assert config["forwarding"] == {"header": USER, "hide_credentials": True}
        assert config["key_sources"] == [{"header": "x-api-key"}]


@pytest.mark.parametrize(
    ("target", "secret"), [(ENVOY, {"envoy.yaml"}), (COMPOSE, {"envoy.yaml"}), (ENVOY_GATEWAY, {"envoy-gateway.yaml"})]
)
def test_files_with_keys_are_their_owners_alone(target: str, secret: set[str], tmp_path: Path) -> None:
    """Those that hold a key, and no others."""
    source = tmp_path / "policy.yaml"
    source.write_text(text(*two_backends({"identity": BY_KEY}), SECRET), "utf-8")
    out = tmp_path / "out"
    done = CliRunner().invoke(command, [str(source), "--target", target, "-o", str(out)])
    assert done.exit_code == 0, done.output
    files = {str(p.relative_to(out)): p for p in out.rglob("*") if p.is_file()}
    assert {name for name, p in files.items() if p.stat().st_mode & 0o777 == 0o600} == secret
    assert {p.stat().st_mode & 0o777 for name, p in files.items() if name not in secret} <= {0o644}
    holding = [p.read_text("utf-8") for name, p in files.items() if name not in secret]
    assert not [t for t in holding if KEY in t or SECRET["data"]["amy"] in t]  # type: ignore[index]


@pytest.mark.parametrize("with_keys", [False, True])
def test_a_container_may_read_the_keys(with_keys: bool) -> None:
    """Its Envoy would be another user than the owner of the file; only there does it run as root."""
    spec = {"identity": BY_KEY} if with_keys else {}
    made = compiled(*two_backends(spec), SECRET, target=COMPOSE)
    envoy = yaml.safe_load(made.artifacts[0].text)["services"]["envoy"]
    assert envoy.get("environment") == ({"ENVOY_UID": "0"} if with_keys else None)


def test_a_request_that_names_no_backend_leads_nowhere_by_itself() -> None:
    """On both targets: without the filter's choice there is no backend, so none without limits."""
    http = documents({})["HTTPRoute"]
    *named, last = http["spec"]["rules"]
    assert [m["headers"][0]["value"] for each in named for m in each["matches"]] == ["a", "b"]
    assert last == {"matches": [{"path": {"type": "PathPrefix", "value": "/"}}]}
    manager, clusters = bootstrap({})
    *chosen, undecided = routes(manager)
    assert undecided["route"] == {"cluster": "nobody"}
    assert clusters["nobody"]["load_assignment"]["endpoints"] == [{"lb_endpoints": []}]
    lua = "envoy.filters.http.lua"
    assert undecided["typed_per_filter_config"] == {lua: chosen[0]["typed_per_filter_config"][lua]}
    assert undecided["request_body_buffer_limit"] == chosen[0]["request_body_buffer_limit"]


def test_one_backend_takes_what_names_none_itself() -> None:
    """With models or without: its limits hold for all that comes."""
    policy = route(rule(limit(5)))
    policy["spec"]["backends"][0]["models"] = ["m"]
    http, *_ = yaml.safe_load_all(compiled(policy).artifacts[0].text)
    (only,) = http["spec"]["rules"]
    assert [list(match) for match in only["matches"]] == [["path", "headers"], ["path"]]


@pytest.mark.parametrize(("most", "others"), [(1, 1024), (1024, 1024), (5000, 5000)])
def test_the_bound_on_requests_in_flight(most: int, others: int) -> None:
    """For each backend; nothing else binds before it does."""
    spec = {"admission": {"maxInFlight": most}}
    breaker = documents(spec)["BackendTrafficPolicy"]["spec"]["circuitBreaker"]
    assert breaker == {"maxParallelRequests": most, "maxConnections": others, "maxPendingRequests": others}
    _, clusters = bootstrap(spec)
    thresholds = {"max_requests": most, "max_connections": others, "max_pending_requests": others}
    for name in ("a", "b"):
        assert clusters[f"default/route/{name}"]["circuit_breakers"] == {"thresholds": [thresholds]}
    assert [name for name, made in clusters.items() if "circuit_breakers" in made] == [
        "default/route/a",
        "default/route/b",
    ]


def test_without_a_bound_nothing_is_said() -> None:
    """The proxies' own defaults stay."""
    assert "circuitBreaker" not in documents({})["BackendTrafficPolicy"]["spec"]
    assert not [c for c in bootstrap({})[1].values() if "circuit_breakers" in c]


def test_the_backend_header_is_a_name_of_ours() -> None:
    """Where the filter puts its choice is where routes look."""
    manager, _ = bootstrap({})
    context = read_context(routes(manager)[-1]["typed_per_filter_config"]["envoy.filters.http.lua"]["filter_context"])
    assert context["backendHeader"] == names.BACKEND_HEADER == routes(manager)[0]["match"]["headers"][0]["name"]
    assert context["backends"] == [{"name": "a", "models": ["m"]}, {"name": "b", "models": ["*"]}]
