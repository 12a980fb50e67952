"""From LLMRoutes to the plan: every default is applied here, and nowhere else. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from llmroute import names
from llmroute.api.v1alpha1 import Parsed
from llmroute.api.v1alpha1.models import AdmissionSpec, BackendSpec, UsageSpec
from llmroute.diagnostic import FieldPath
from llmroute.lower.addresses import DEFAULT_NAMESPACE, Addresses, addresses_in, endpoints
from llmroute.lower.digest import digest
from llmroute.lower.identity import identity_of
from llmroute.lower.limits import OF_ALL, limits_of, metadata_headers
from llmroute.plan import (
    Admission,
    Backend,
    Endpoint,
    GatewayRef,
    Identity,
    IncludeUsage,
    Limit,
    MetadataHeader,
    Mode,
    OnDisconnect,
    OnMissing,
    Plan,
    Route,
    Settle,
    Usage,
)
from llmroute.source import Document

__all__ = ["ANSWER_SECONDS", "BODY_LIMIT_BYTES", "DEFAULT_NAMESPACE", "StandIns", "lower"]

BODY_LIMIT_BYTES: Final = 4 * 1024 * 1024
"""A request body up to this size can be read for its model: chats with images are megabytes long."""
ANSWER_SECONDS: Final = 3600
"""A whole answer may take this long. The proxies' own default, 15 s, would cut streams."""

StandIns = Mapping[str | None, Endpoint]
"""Where backends are to be reached instead of what the input says, by name; None for all others."""


def lower(parsed: Sequence[Parsed], documents: Iterable[Document], stand_ins: StandIns | None = None) -> Plan:
    """The plan of all LLMRoutes; ``documents`` are the whole input, searched for backends' addresses."""
    addresses = addresses_in(documents)
    return Plan(tuple(_route(p, addresses, stand_ins or {}) for p in parsed))


def _route(parsed: Parsed, addresses: Addresses, stand_ins: StandIns) -> Route:
    route, document = parsed.route, parsed.document
    spec = route.spec
    backends = tuple(
        _backend(backend, ("spec", "backends", i), document, addresses, stand_ins)
        for i, backend in enumerate(spec.backends)
    )
    identity = identity_of(spec.identity, document, addresses)
    of_all = tuple(limits_of(spec.traffic_policy, OF_ALL, ("spec",), document))
    set_headers = metadata_headers([*(b.traffic_policy for b in spec.backends), spec.traffic_policy])
    return Route(
        name=route.metadata.name,
        namespace=route.metadata.namespace,
        gateways=tuple(GatewayRef(t.name, t.kind or "Gateway", t.group or names.GATEWAY_API) for t in spec.target_refs),
        backends=backends,
        header_defaults=_header_defaults([*(x for b in backends for x in b.limits), *of_all], identity, set_headers),
        limits_of_all=of_all,
        metadata_headers=set_headers,
        identity=identity,
        usage=_usage(spec.usage or UsageSpec()),
        admission=_admission(spec.admission or AdmissionSpec(), document),
        body_limit_bytes=BODY_LIMIT_BYTES,
        timeout_seconds=ANSWER_SECONDS,
        digest=digest({"metadata": document.value["metadata"], "spec": document.value["spec"]}),
        origin=document.origin(("metadata", "name")),
    )


def _usage(spec: UsageSpec) -> Usage:
    return Usage(
        on_missing=OnMissing(spec.on_missing or "Estimate"),
        fixed_tokens=spec.fixed_tokens or 0,
        on_disconnect=OnDisconnect(spec.on_disconnect or "Charge"),
        include_usage=IncludeUsage(spec.include_usage or "Force"),
    )


def _admission(spec: AdmissionSpec, document: Document) -> Admission:
    return Admission(
        mode=Mode(spec.mode or "PostPaid"),
        settle=Settle(spec.settle or "Async"),
        max_tokens=spec.max_tokens,
        max_in_flight=spec.max_in_flight,
        origin=document.origin(("spec", "admission")),
    )


def _header_defaults(
    limits: Iterable[Limit], identity: Identity, set_headers: Iterable[MetadataHeader]
) -> tuple[tuple[str, str], ...]:
    """Each selected header with its stand-in, but the model's and those of metadata, which the filter reads."""
    selected = {s.header for limit in limits for s in limit.selectors}
    selected -= {names.MODEL_HEADER, *(h.header for h in set_headers)}
    stand_in = {identity.header: names.ANONYMOUS}
    return tuple((header, stand_in.get(header, names.UNKNOWN)) for header in sorted(selected))


def _backend(
    spec: BackendSpec, path: FieldPath, document: Document, addresses: Addresses, stand_ins: StandIns
) -> Backend:
    ref = spec.backend_ref
    kind = ref.kind or ("Backend" if ref.group == names.ENVOY_GATEWAY_API else "Service")
    namespace = document.name[0] or DEFAULT_NAMESPACE
    stand_in = stand_ins.get(ref.name, stand_ins.get(None))
    target = addresses.get((kind, namespace, ref.name))
    return Backend(
        name=ref.name,
        kind=kind,
        group=names.ENVOY_GATEWAY_API if kind == "Backend" else "",
        port=ref.port,
        limits=tuple(limits_of(spec.traffic_policy, ref.name, path, document)),
        endpoints=(stand_in,) if stand_in else tuple(endpoints(target, ref)) if target else (),
        origin=document.origin((*path, "backendRef", "name")),
        models=spec.models or (),
    )
