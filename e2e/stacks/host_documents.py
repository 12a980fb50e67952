"""What Envoy Gateway on a host needs beside the generated documents, and in place of some of them. Pure.

The generated HTTPRoute and policies go in as they are, but for one defect of Envoy Gateway's file
provider, which ``without_cost_numbers`` gets around. Gateways and backends of the input belong to a cluster;
here a Gateway on a port of this machine takes their place, and a Backend on loopback.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from llmroute import names
from llmroute.lower import DEFAULT_NAMESPACE
from llmroute.plan import Endpoint, Plan

Document = dict[str, Any]

CONTROLLER: Final = "gateway.envoyproxy.io/gatewayclass-controller"
GENERATED: Final = ("HTTPRoute", "EnvoyExtensionPolicy", "BackendTrafficPolicy", "SecurityPolicy")
_CLASS: Final = "host"
_API: Final = f"{names.ENVOY_GATEWAY_API}/v1alpha1"
_CLUSTER: Final = "type.googleapis.com/envoy.config.cluster.v3.Cluster"


_MODULES: Final = Endpoint("127.0.0.1", 18002)
"""Where Envoy Gateway serves modules; nobody can choose the port."""


@dataclass(frozen=True, slots=True)
class Host:
    """``envoy_version``: the folder that holds the Envoy. ``listen``: the Gateway's port. The rest: where things are.

    ``certificates``: the folder of those by which Envoy and Envoy Gateway know each other.
    """

    envoy_version: str
    listen: int
    upstream: Endpoint
    ratelimit: Endpoint
    certificates: Path


def host_documents(generated: Iterable[Document], plan: Plan, host: Host) -> list[Document]:
    """Everything for the resources folder, for the documents that were generated from ``plan``."""
    placed = [_in_namespace(document) for document in generated]
    ours = [document for document in placed if document["kind"] in GENERATED]
    secrets = [secret_in_base64(document) for document in placed if document["kind"] == "Secret"]
    namespaces = {route.namespace or DEFAULT_NAMESPACE for route in plan.routes}
    gateways = {gateway.name for route in plan.routes for gateway in route.gateways}
    if len(namespaces) != 1 or len(gateways) != 1:
        raise ValueError("the standalone stack has one Gateway: all LLMRoutes must be in its namespace and name it")
    (namespace,), (gateway,) = namespaces, gateways
    backends = {b.name: _backend(namespace, b.name, host.upstream) for route in plan.routes for b in route.backends}
    documents = [
        _gateway_class(),
        _envoy_proxy(namespace, host),
        _gateway(namespace, gateway, host),
        *backends.values(),
        *secrets,
    ]
    if any(True for route in plan.routes for _ in route.limits()):
        documents.append(_ratelimit_address(namespace, gateway, host.ratelimit))
    if any("wasm" in document["spec"] for document in ours):
        documents.append(_module_address(namespace, gateway, host.certificates))
    return [*documents, *(told_no_cost(without_cost_numbers(document)) for document in ours)]


def secret_in_base64(secret: Document) -> Document:
    """The Secret without ``stringData``, as an API server would keep it: Envoy Gateway reads no other."""
    text = {name: b64encode(value.encode()).decode() for name, value in secret.get("stringData", {}).items()}
    rest = {field: value for field, value in secret.items() if field != "stringData"}
    return rest | {"data": {**secret.get("data", {}), **text}}


def without_cost_numbers(document: Document) -> Document:
    """The document without ``cost.request.number``: Envoy Gateway 1.9.1 panics on it in a file (PLATFORM 6.7).

    A check that costs 0 reads the metadata key that the filter sets to 0; one that costs 1 is what no cost means.
    """
    if document["kind"] != "BackendTrafficPolicy" or "rateLimit" not in document["spec"]:
        return document
    rules = [_rule_without_number(rule) for rule in rules_of(document)]
    limits = document["spec"]["rateLimit"] | {"global": {"rules": rules}}
    return document | {"spec": document["spec"] | {"rateLimit": limits}}


def told_no_cost(document: Document) -> Document:
    """The document, where it has a module, with a script that says of requests what a check costs: 0.

    A module cannot write metadata, and without that of ``without_cost_numbers`` no limit would be checked.
    """
    if document["kind"] != "EnvoyExtensionPolicy" or "wasm" not in document["spec"]:
        return document
    script = f"""function envoy_on_request(handle)
  handle:streamInfo():dynamicMetadata():set("{names.METADATA_NAMESPACE}", "{names.NO_COST}", 0)
end"""
    return document | {"spec": document["spec"] | {"lua": [{"type": "Inline", "inline": script}]}}


def rules_of(traffic_policy: Document) -> Sequence[Mapping[str, Any]]:
    """The limits of a BackendTrafficPolicy."""
    rules: Sequence[Mapping[str, Any]] = traffic_policy["spec"].get("rateLimit", {"global": {"rules": []}})["global"][
        "rules"
    ]
    return rules


def _rule_without_number(rule: Mapping[str, Any]) -> dict[str, Any]:
    cost = dict(rule["cost"])
    if cost.get("response", {}).get("from") == "Number":
        raise ValueError("a shadow of requests charges a number, on which Envoy Gateway panics in a file")
    if cost["request"]["from"] == "Number" and cost.pop("request")["number"] == 0:
        metadata = {"namespace": names.METADATA_NAMESPACE, "key": names.NO_COST}
        cost["request"] = {"from": "Metadata", "metadata": metadata}
    return {key: value for key, value in rule.items() if key != "cost"} | ({"cost": cost} if cost else {})


def _in_namespace(document: Document) -> Document:
    return document | {"metadata": {"namespace": DEFAULT_NAMESPACE} | document["metadata"]}


def _object(api: str, kind: str, name: str, namespace: str | None, spec: Document) -> Document:
    place = {"namespace": namespace} if namespace else {}
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name} | place, "spec": spec}


def _gateway_class() -> Document:
    return _object(f"{names.GATEWAY_API}/v1", "GatewayClass", _CLASS, None, {"controllerName": CONTROLLER})


def _envoy_proxy(namespace: str, host: Host) -> Document:
    spec = {
        "provider": {"type": "Host", "host": {"envoyVersion": host.envoy_version}},
        # Hot restart is for a successor that never comes; its shared memory would outlive Envoy.
        "extraArgs": ["--disable-hot-restart"],
    }
    return _object(_API, "EnvoyProxy", _CLASS, namespace, spec)


def _gateway(namespace: str, name: str, host: Host) -> Document:
    parameters = {"group": names.ENVOY_GATEWAY_API, "kind": "EnvoyProxy", "name": _CLASS}
    spec = {
        "gatewayClassName": _CLASS,
        "infrastructure": {"parametersRef": parameters},
        "listeners": [{"name": "http", "protocol": "HTTP", "port": host.listen}],
    }
    return _object(f"{names.GATEWAY_API}/v1", "Gateway", name, namespace, spec)


def _backend(namespace: str, name: str, upstream: Endpoint) -> Document:
    address = {"address": upstream.host, "port": upstream.port}
    return _object(_API, "Backend", name, namespace, {"endpoints": [{"ip": address}]})


def _ratelimit_address(namespace: str, gateway: str, ratelimit: Endpoint) -> Document:
    """Envoy Gateway writes a cluster's service and its TLS for the ratelimit cluster."""
    operations = [_moved(ratelimit), {"op": "remove", "path": "/transport_socket"}]
    return _patch("ratelimit-address", namespace, gateway, "ratelimit_cluster", operations)


def _module_address(namespace: str, gateway: str, certificates: Path) -> Document:
    """It serves modules by a name of a cluster's, and has Envoy look for certificates where a pod has them."""
    own = {"certificate_chain": "tls.crt", "private_key": "tls.key"}
    context = {
        "tls_params": {"tls_maximum_protocol_version": "TLSv1_3"},
        "tls_certificates": [{part: {"filename": str(certificates / name)} for part, name in own.items()}],
        "validation_context": {"trusted_ca": {"filename": str(certificates / "ca.crt")}},
    }
    place = "/transport_socket/typed_config/common_tls_context"
    operations = [_moved(_MODULES), {"op": "replace", "path": place, "value": context}]
    return _patch("module-address", namespace, gateway, "wasm_cluster", operations)


def _moved(to: Endpoint) -> Document:
    place = "/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address/socket_address"
    return {"op": "replace", "path": place, "value": {"address": to.host, "port_value": to.port}}


def _patch(name: str, namespace: str, gateway: str, cluster: str, operations: Iterable[Document]) -> Document:
    spec = {
        "targetRef": {"group": names.GATEWAY_API, "kind": "Gateway", "name": gateway},
        "type": "JSONPatch",
        "jsonPatches": [{"type": _CLUSTER, "name": cluster, "operation": o} for o in operations],
    }
    return _object(_API, "EnvoyPatchPolicy", name, namespace, spec)
