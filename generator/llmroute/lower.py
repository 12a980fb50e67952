"""From LLMRoutes to the plan: every default is applied here, and nowhere else. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from llmroute import names
from llmroute.api.v1alpha1 import Parsed
from llmroute.api.v1alpha1.models import BackendRef, BackendSpec, HeaderMatch, LimitSpec, UsageSpec
from llmroute.diagnostic import FieldPath
from llmroute.plan import (
    Backend,
    Endpoint,
    GatewayRef,
    IncludeUsage,
    Kind,
    Limit,
    Match,
    OnDisconnect,
    OnMissing,
    Plan,
    Route,
    Selector,
    Unit,
    Usage,
)
from llmroute.source import Document

BODY_LIMIT_BYTES: Final = 4 * 1024 * 1024
"""A request body up to this size can be read for its model: chats with images are megabytes long."""
ANSWER_SECONDS: Final = 3600
"""A whole answer may take this long. The proxies' own default, 15 s, would cut streams."""
DEFAULT_NAMESPACE: Final = "default"

_KINDS: Final = {"Token": Kind.TOKENS, "Request": Kind.REQUESTS}

Addresses = Mapping[tuple[str, str, str], Document]
"""Backends and Services of the input, by (kind, namespace, name)."""


StandIns = Mapping[str | None, Endpoint]
"""Where backends are to be reached instead of what the input says, by name; None for all others."""


def lower(parsed: Sequence[Parsed], documents: Iterable[Document], stand_ins: StandIns | None = None) -> Plan:
    """The plan of all LLMRoutes; ``documents`` are the whole input, searched for backends' addresses."""
    addresses: dict[tuple[str, str, str], Document] = {
        (d.kind[1], d.name[0] or DEFAULT_NAMESPACE, d.name[1]): d
        for d in documents
        if d.kind[1] in {"Backend", "Service"} and d.name[1]
    }
    return Plan(tuple(_route(p, addresses, stand_ins or {}) for p in parsed))


def _route(parsed: Parsed, addresses: Addresses, stand_ins: StandIns) -> Route:
    route, document = parsed.route, parsed.document
    namespace = route.metadata.namespace
    backends = tuple(
        _backend(spec, ("spec", "backends", i), document, addresses, stand_ins)
        for i, spec in enumerate(route.spec.backends)
    )
    return Route(
        name=route.metadata.name,
        namespace=namespace,
        gateways=tuple(
            GatewayRef(t.name, t.kind or "Gateway", t.group or names.GATEWAY_API) for t in route.spec.target_refs
        ),
        backends=backends,
        header_defaults=_header_defaults(backends),
        usage=_usage(route.spec.usage or UsageSpec()),
        max_tokens=route.spec.admission.max_tokens if route.spec.admission else None,
        body_limit_bytes=BODY_LIMIT_BYTES,
        timeout_seconds=ANSWER_SECONDS,
        digest=_digest({"metadata": document.value["metadata"], "spec": document.value["spec"]}),
        origin=document.origin(("metadata", "name")),
    )


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _usage(spec: UsageSpec) -> Usage:
    return Usage(
        on_missing=OnMissing(spec.on_missing or "Estimate"),
        fixed_tokens=spec.fixed_tokens or 0,
        on_disconnect=OnDisconnect(spec.on_disconnect or "Charge"),
        include_usage=IncludeUsage(spec.include_usage or "Force"),
    )


def _header_defaults(backends: Iterable[Backend]) -> tuple[tuple[str, str], ...]:
    """Each selected header but the model's (the filter reads that one) with its stand-in."""
    selected = {s.header for b in backends for limit in b.limits for s in limit.selectors}
    selected.discard(names.MODEL_HEADER)
    stand_in = {names.USER_HEADER: names.ANONYMOUS}
    return tuple((header, stand_in.get(header, names.UNKNOWN)) for header in sorted(selected))


def _backend(
    spec: BackendSpec, path: FieldPath, document: Document, addresses: Addresses, stand_ins: StandIns
) -> Backend:
    ref = spec.backend_ref
    kind = ref.kind or ("Backend" if ref.group == names.ENVOY_GATEWAY_API else "Service")
    policy = spec.traffic_policy.rate_limit if spec.traffic_policy else None
    namespace = document.name[0] or DEFAULT_NAMESPACE
    stand_in = stand_ins.get(ref.name, stand_ins.get(None))
    target = addresses.get((kind, namespace, ref.name))
    return Backend(
        name=ref.name,
        kind=kind,
        group=names.ENVOY_GATEWAY_API if kind == "Backend" else "",
        port=ref.port,
        limits=tuple(_limits(ref.name, policy.rules if policy else (), path, document)),
        endpoints=(stand_in,) if stand_in else tuple(_endpoints(target, ref)) if target else (),
        origin=document.origin((*path, "backendRef", "name")),
    )


def _limits(backend: str, rules: Iterable[Any], path: FieldPath, document: Document) -> Iterator[Limit]:
    seen: dict[str, int] = {}
    for r, rule in enumerate(rules):
        inside = (*path, "trafficPolicy", "rateLimit", "rules", r)
        selectors = tuple(_selector(h, (*inside, "headers", i), document) for i, h in enumerate(rule.headers))
        for i, spec in enumerate(rule.limits):
            limit = _limit(backend, spec, selectors, (*inside, "limits", i), document)
            seen[limit.id] = seen.get(limit.id, 0) + 1
            yield limit if seen[limit.id] == 1 else _renamed(limit, f"{limit.id}-{seen[limit.id]}")


def _renamed(limit: Limit, name: str) -> Limit:
    return Limit(name, limit.kind, limit.quantity, limit.unit, limit.selectors, limit.origin)


def _selector(header: HeaderMatch, path: FieldPath, document: Document) -> Selector:
    return Selector(header.name.lower(), Match(header.type), header.value, document.origin(path))


def _limit(
    backend: str, spec: LimitSpec, selectors: tuple[Selector, ...], path: FieldPath, document: Document
) -> Limit:
    kind = _KINDS[spec.type or "Request"]
    unit = Unit(spec.unit or "Minute")
    what = _digest(sorted([s.header, s.match.value, s.value or ""] for s in selectors))[:8] if selectors else "all"
    return Limit(
        id=f"{backend}/{kind}/{unit.value.lower()}/{what}",
        kind=kind,
        quantity=spec.quantity,
        unit=unit,
        selectors=selectors,
        origin=document.origin((*path, "quantity")),
    )


def _endpoints(target: Document, ref: BackendRef) -> Iterator[Endpoint]:
    """Where ``target`` says that it is: a Backend's endpoints, or a Service's name in the cluster."""
    if target.kind[1] == "Service":
        if ref.port is not None:
            yield Endpoint(f"{ref.name}.{target.name[0] or DEFAULT_NAMESPACE}.svc.cluster.local", ref.port)
        return
    entries = _inside(target.value, "spec", "endpoints")
    for entry in entries if isinstance(entries, list) else []:
        host = _inside(entry, "fqdn", "hostname") or _inside(entry, "ip", "address")
        port = _inside(entry, "fqdn", "port") or _inside(entry, "ip", "port")
        if isinstance(host, str) and isinstance(port, int):
            yield Endpoint(host, port)


def _inside(value: Any, *path: str | int) -> Any:
    for part in path:
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
