"""The names that Envoy Gateway gives to counters, as predicted and as its own translator makes them.

``settle: Sync`` charges counters by these names. Where an Envoy Gateway names them otherwise this fails first; its
row in ``targets.py`` then says that they are not known.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from e2e.test_translate import conditions, egctl, translate
from llmroute import names
from tests.policies import MODEL, USER, compiled, header, limit, read_context, route, rule

pytestmark = pytest.mark.slow

__all__ = ["egctl"]

USERS: Final = header(USER, "Distinct")
MINI: Final = header(MODEL, "Exact", "gpt-*:mini/1")
PATTERN: Final = header("x-org", "RegularExpression", "a|b")
TENANT: Final = {"type": "Dynamic", "name": "envoy.filters.http.jwt_authn", "paths": [{"key": "corp"}, {"key": "org"}]}
SHARED: Final = {"rateLimit": {"rules": [rule(limit(5000)), rule(limit(70), headers=[USERS])]}}
POLICIES: Final[dict[str, list[dict[str, Any]]]] = {
    "global": [route(rule(limit(10)))],
    "distinct": [route(rule(limit(10), headers=[USERS]))],
    "exact-and-distinct": [route(rule(limit(10), headers=[MINI, USERS]), rule(limit(20), headers=[USERS, MINI]))],
    "a-pattern": [route(rule(limit(10), headers=[PATTERN, USERS]), rule(limit(10), headers=[USERS]))],
    "several-limits": [
        route(
            rule(limit(10), limit(20, unit="Day"), limit(3, "Request"), headers=[USERS]),
            rule(limit(0), limit(8) | {"token": "Prompt"}, limit(9) | {"weights": {"prompt": 0.5}}),
        )
    ],
    "shadow": [route(rule(limit(10) | {"shadow": True}, limit(20), headers=[USERS]))],
    "two-backends": [route(a=[rule(limit(10)), rule(limit(20), headers=[MINI, USERS])], b=[rule(limit(30), headers=[USERS])])],
    "of-all-backends": [route(a=[rule(limit(10))], b=[rule(limit(30), headers=[USERS])]) | {"shared": SHARED}],
    "prepaid": [route(rule(limit(10), limit(3, "Request"), headers=[MINI, USERS]), rule(limit(9))) | {"mode": "PrepaidPrompt"}],
    "prepaid-two-backends": [route(a=[rule(limit(10))], b=[rule(limit(30), headers=[USERS])]) | {"mode": "PrepaidPrompt"}],
    "metadata": [route(rule(limit(10)) | {"metadata": [TENANT]}, rule(limit(5)) | {"metadata": [TENANT | {"value": "x"}]})],
    "two-namespaces": [
        route(rule(limit(10), headers=[USERS]), name="one"),
        route(rule(limit(10), headers=[USERS, MINI]), name="one") | {"namespace": "team-a"},
        route(other=[rule(limit(9))], name="two.dots") | {"namespace": "team-a"},
    ],
}  # fmt: skip


def finished(policy: dict[str, Any]) -> dict[str, Any]:
    """A policy of Sync, or of another mode, on the Gateway of its namespace."""
    admission = {"mode": policy["mode"]} if "mode" in policy else {"settle": "Sync"}
    spec = policy["spec"] | {"targetRefs": [{"name": "ai-eg"}], "admission": admission}
    if "shared" in policy:
        spec["trafficPolicy"] = policy["shared"]
    metadata = policy["metadata"] | {"namespace": policy.get("namespace", "default")}
    return {"apiVersion": policy["apiVersion"], "kind": policy["kind"], "metadata": metadata, "spec": spec}


def around(policies: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """A Gateway for each namespace, and every backend."""
    controller = {"controllerName": "gateway.envoyproxy.io/gatewayclass-controller"}
    api = f"{names.GATEWAY_API}/v1"
    yield {"apiVersion": api, "kind": "GatewayClass", "metadata": {"name": "eg"}, "spec": controller}
    listeners = [{"name": "http", "protocol": "HTTP", "port": 80}]
    for namespace in dict.fromkeys(policy["metadata"]["namespace"] for policy in policies):
        place, spec = {"name": "ai-eg", "namespace": namespace}, {"gatewayClassName": "eg", "listeners": listeners}
        yield {"apiVersion": api, "kind": "Gateway", "metadata": place, "spec": spec}
    for policy in policies:
        for backend in policy["spec"]["backends"]:
            place = {"name": backend["backendRef"]["name"], "namespace": policy["metadata"]["namespace"]}
            spec = {"endpoints": [{"ip": {"address": "192.0.2.1", "port": 80}}]}
            yield {
                "apiVersion": f"{names.ENVOY_GATEWAY_API}/v1alpha1",
                "kind": "Backend",
                "metadata": place,
                "spec": spec,
            }


Charge = dict[str, Any]
"""Due, domain, entries and exact matches, in the words of the filter's context."""


def _limited(answer: Any, place: str) -> Iterator[tuple[list[dict[str, Any]], str]]:
    """The rate limits and their domain on each of Envoy's routes of the HTTPRoute at ``place``."""
    configs = [config for dump in answer["xds"].values() for config in dump["dynamicRouteConfigs"]]
    hosts = [host for config in configs for host in config["routeConfig"].get("virtualHosts", [])]
    for each in [each for host in hosts for each in host["routes"]]:
        if each["name"].startswith(f"httproute/{place}/") and "route" in each:
            (limited,) = [config for config in each["typedPerFilterConfig"].values() if "rateLimits" in config]
            yield limited["rateLimits"], limited["domain"]


def real(answer: Any, place: str) -> Iterator[list[Charge]]:
    """What Envoy is to charge there by what is due."""
    for limits, domain in _limited(answer, place):
        charges = [_charge(one, domain) for one in limits if one.get("applyOnStreamDone")]
        yield [charge for charge in charges if charge["due"].startswith(names.DUE_PREFIX)]


def checked(answer: Any, place: str) -> Iterator[list[Charge]]:
    """What Envoy is to check there, and never of a request that the filter has admitted."""
    for limits, domain in _limited(answer, place):
        checks = [one for one in limits if not one.get("applyOnStreamDone")]
        for one in checks:
            *_, last = [action["headerValueMatch"] for action in one["actions"] if "headerValueMatch" in action]
            assert last["expectMatch"] is False
            assert last["headers"] == [{"name": names.PREPAID_HEADER, "stringMatch": {"exact": "yes"}}]
        yield [_counter(one, domain) | {"check": int(one["hitsAddend"].get("number", 1))} for one in checks]


def _charge(limited: dict[str, Any], domain: str) -> Charge:
    key = limited["hitsAddend"]["format"].removeprefix(f"%DYNAMIC_METADATA({names.METADATA_NAMESPACE}:")
    return _counter(limited, domain) | {"due": key.removesuffix(")%")}


def _counter(limited: dict[str, Any], domain: str) -> Charge:
    said = [(kind, action) for each in limited["actions"] for kind, action in each.items()]
    assert {kind for kind, _ in said} <= {"genericKey", "headerValueMatch", "requestHeaders"}
    exact = [
        header
        for kind, action in said
        if kind == "headerValueMatch"
        for header in action["headers"]
        if header["name"] != names.PREPAID_HEADER
    ]
    return {
        "domain": domain,
        "entries": [
            {"key": action["descriptorKey"], "header": action["headerName"]}
            if kind == "requestHeaders"
            else {"key": action["descriptorKey"], "value": action["descriptorValue"]}
            for kind, action in said
        ],
        "match": [{"header": header["name"], "value": header["stringMatch"].get("exact")} for header in exact],
    }


def told(calls: dict[str, Any], *also: str) -> list[Charge]:
    """What the filter is told of the counters of its calls, and what else is asked for."""
    assert calls["cluster"] == "ratelimit_cluster"
    wanted = ("match", "entries", *also)
    limits = [each for each in calls["limits"] if all(key in each for key in also)]
    return [{"domain": calls["domain"]} | {key: each[key] for key in wanted} for each in limits]


@pytest.mark.parametrize("case", POLICIES)
def test_counters_have_the_names_that_the_filter_charges(egctl: Path, case: str, tmp_path: Path) -> None:
    """Domain, entries, order, and which requests: what Envoy is to charge when the filter has not, and the filter itself."""
    policies = [finished(policy) for policy in POLICIES[case]]
    made = compiled(*policies)
    assert made.artifacts, [str(found) for found in made.diagnostics]
    documents = [*(d for d in yaml.safe_load_all(made.artifacts[0].text) if d), *around(policies)]
    answer = translate(egctl, documents, tmp_path)
    assert [found for found in conditions(answer) if found[2] != "True"] == []
    for document in documents:
        if document["kind"] == "EnvoyExtensionPolicy":
            place = f"{document['metadata']['namespace']}/{document['metadata']['name']}"
            context = read_context(document["spec"]["lua"][0]["filterContext"])
            calls = context.get("prepay") or context["settle"]
            seen = [(told(calls, "due"), list(real(answer, place)))]
            if "prepay" in context:
                seen.append((told(calls, "check"), list(checked(answer, place))))
            for expected, found in seen:
                assert found
                assert expected
                assert [each for each in found if each != expected] == []
