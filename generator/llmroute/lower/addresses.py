"""Where backends are, as far as the input says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from llmroute.api.v1alpha1.models import BackendRef
from llmroute.plan import Endpoint
from llmroute.source import Document

DEFAULT_NAMESPACE: Final = "default"

Addresses = Mapping[tuple[str, str, str], Document]
"""Backends, Services and Secrets of the input, by (kind, namespace, name)."""


def addresses_in(documents: Iterable[Document]) -> Addresses:
    """All that say where something is."""
    return {
        (d.kind[1], d.name[0] or DEFAULT_NAMESPACE, d.name[1]): d
        for d in documents
        if d.kind[1] in {"Backend", "Service", "Secret"} and d.name[1]
    }


def endpoints(target: Document, ref: BackendRef) -> Iterator[Endpoint]:
    """Where ``target`` says that it is: a Backend's endpoints, with TLS if it has any, or a Service in the cluster."""
    if target.kind[1] == "Service":
        if ref.port is not None:
            yield Endpoint(f"{ref.name}.{target.name[0] or DEFAULT_NAMESPACE}.svc.cluster.local", ref.port)
        return
    entries, tls = inside(target.value, "spec", "endpoints"), inside(target.value, "spec", "tls") is not None
    for entry in entries if isinstance(entries, list) else []:
        host = inside(entry, "fqdn", "hostname") or inside(entry, "ip", "address")
        port = inside(entry, "fqdn", "port") or inside(entry, "ip", "port")
        if isinstance(host, str) and isinstance(port, int):
            yield Endpoint(host, port, tls=tls)


def inside(value: Any, *path: str | int) -> Any:
    """The value at ``path`` of nested mappings; None where there is none."""
    for part in path:
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
