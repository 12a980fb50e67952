"""What a policy needs on a cluster beside itself, and whether the cluster has accepted it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from llmroute import names
from llmroute.lower import DEFAULT_NAMESPACE

Document = dict[str, Any]

HTTP: Final = 80
"""The port of every Gateway here."""
BACKEND: Final = "huggingface-backend"
"""The Service in front of the fake OpenAI, and its port: as in the original manifest."""
BACKEND_PORT: Final = 3000
_UPSTREAM_PORT: Final = 8080
_LABEL: Final = {"app": "huggingface-opt"}
_CONDITIONS: Final[Mapping[str, Sequence[str]]] = {
    "Gateway": ("Accepted", "Programmed"),
    "HTTPRoute": ("Accepted", "ResolvedRefs"),
    "EnvoyExtensionPolicy": ("Accepted",),
    "BackendTrafficPolicy": ("Accepted",),
    "SecurityPolicy": ("Accepted",),
}


def unmet(item: Document) -> list[str]:
    """The conditions of an object that are not true, or are about an older one; in words."""
    status = item.get("status", {})
    holders = [status] if item["kind"] == "Gateway" else status.get("parents", status.get("ancestors", []))
    name = f"{item['kind']} {item['metadata']['name']}"
    if not holders:
        return [f"{name} without a status"]
    texts = []
    for holder in holders:
        current = {c["type"]: c for c in holder.get("conditions", []) if _is_current(c, item)}
        for kind in _CONDITIONS[item["kind"]]:
            condition = current.get(kind, {"status": "Unknown"})
            if condition["status"] != "True":
                texts.append(f"{name} {kind}: {condition['status']} {condition.get('message', '')}".strip())
    return texts


def _is_current(condition: Mapping[str, Any], item: Document) -> bool:
    return bool(condition.get("observedGeneration") == item["metadata"]["generation"])


def in_namespace(document: Document) -> Document:
    """The document with the namespace that it is applied to."""
    return document | {"metadata": {"namespace": DEFAULT_NAMESPACE} | document["metadata"]}


def gateways_of(documents: Iterable[Document]) -> set[str]:
    """The Gateways that HTTPRoutes attach to."""
    return {ref["name"] for d in documents if d["kind"] == "HTTPRoute" for ref in d["spec"]["parentRefs"]}


def supplements(documents: Sequence[Document]) -> list[Document]:
    """What the documents name and do not bring, so that all of it leads to the fake OpenAI."""
    there = {(d["kind"], d["metadata"]["name"]) for d in documents}
    wanted = [*map(_gateway, sorted(gateways_of(documents))), *map(_backend, _backends_of(documents))]
    return [d for d in (*wanted, *services_of(documents)) if (d["kind"], d["metadata"]["name"]) not in there]


def _gateway(name: str) -> Document:
    listener = {"name": "http", "protocol": "HTTP", "port": HTTP}
    return _object(f"{names.GATEWAY_API}/v1", "Gateway", name, {"gatewayClassName": "eg", "listeners": [listener]})


def _backend(name: str) -> Document:
    host = {"hostname": f"{BACKEND}.{DEFAULT_NAMESPACE}.svc.cluster.local", "port": BACKEND_PORT}
    return _object(f"{names.ENVOY_GATEWAY_API}/v1alpha1", "Backend", name, {"endpoints": [{"fqdn": host}]})


def _backends_of(documents: Iterable[Document]) -> list[str]:
    rules = [rule for d in documents if d["kind"] == "HTTPRoute" for rule in d["spec"]["rules"]]
    return sorted(
        {ref["name"] for rule in rules for ref in rule.get("backendRefs", []) if ref.get("kind") == "Backend"}
    )


def services_of(documents: Iterable[Document]) -> list[Document]:
    """A Service for each host of the cluster that a Backend names, but for the fake OpenAI's own."""
    endpoints = [e for d in documents if d["kind"] == "Backend" for e in d["spec"]["endpoints"]]
    hosts = {e["fqdn"]["hostname"].partition(".")[0]: e["fqdn"]["port"] for e in endpoints}
    return [
        _object("v1", "Service", name, {"selector": _LABEL, "ports": [{"port": port, "targetPort": _UPSTREAM_PORT}]})
        for name, port in hosts.items()
        if name != BACKEND
    ]


def _object(api: str, kind: str, name: str, spec: Document) -> Document:
    metadata = {"name": name, "namespace": DEFAULT_NAMESPACE}
    return {"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec}
