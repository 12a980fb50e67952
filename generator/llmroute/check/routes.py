"""Names of routes, and what happens when several meet on one gateway."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Final

from llmroute import codes, names
from llmroute.diagnostic import Diagnostic, Severity
from llmroute.lower import DEFAULT_NAMESPACE
from llmroute.plan import Plan, Route
from llmroute.source import Document
from llmroute.targets import Capabilities

_KINDS: Final = ("BackendTrafficPolicy", "EnvoyExtensionPolicy", "HTTPRoute")
_IDENTITY_KIND: Final = "SecurityPolicy"


def check(plan: Plan, documents: Sequence[Document], target: Capabilities) -> Iterator[Diagnostic]:
    """Duplicate names, collisions with passed-through resources, ambiguous routing."""
    yield from _duplicates(plan)
    if not target.one_listener:
        yield from _taken(plan, documents)
    for one, two in combinations(plan.routes, 2):
        if target.one_listener or _shared_gateway(one, two):
            yield from _ambiguous(one, two)


def _duplicates(plan: Plan) -> Iterator[Diagnostic]:
    first: dict[tuple[str, str], Route] = {}
    for route in plan.routes:
        key = (route.namespace or DEFAULT_NAMESPACE, route.name)
        other = first.setdefault(key, route)
        if other is not route:
            message = f"an LLMRoute {'/'.join(key)} stands at {other.origin} already"
            yield Diagnostic(codes.DUPLICATE_ROUTE, route.origin, message, "rename one, or merge their backends")


def _taken(plan: Plan, documents: Sequence[Document]) -> Iterator[Diagnostic]:
    taken = {(d.kind[1], d.name[0] or DEFAULT_NAMESPACE, d.name[1]): d for d in documents}
    for route in plan.routes:
        verified = route.identity.jwt or route.identity.api_key
        for kind in (*_KINDS, _IDENTITY_KIND) if verified else _KINDS:
            document = taken.get((kind, route.namespace or DEFAULT_NAMESPACE, route.name))
            if document:
                message = f"{kind} {route.name} would be generated for the LLMRoute of that name ({route.origin})"
                hint = "rename it, or the LLMRoute"
                yield Diagnostic(codes.NAME_TAKEN, document.origin(("metadata", "name")), message, hint)


def _shared_gateway(one: Route, two: Route) -> bool:
    same_namespace = (one.namespace or DEFAULT_NAMESPACE) == (two.namespace or DEFAULT_NAMESPACE)
    return same_namespace and bool({g.name for g in one.gateways} & {g.name for g in two.gateways})


def _ambiguous(one: Route, two: Route) -> Iterator[Diagnostic]:
    taken = {b.name for b in one.backends}
    for backend in two.backends:
        if backend.name in taken:
            message = (
                f"requests that name backend {backend.name} go to LLMRoute {one.name} ({one.origin}); "
                f"the limits here would never count"
            )
            yield Diagnostic(codes.AMBIGUOUS_BACKEND, backend.origin, message, "keep a backend in one LLMRoute")
    if all(route.takes_unnamed or route.routes_by_model for route in (one, two)):
        message = (
            f"requests that name no backend go to either this LLMRoute or {one.name} ({one.origin}): "
            f"each has one backend, or chooses by model, and takes them"
        )
        hint = f"let clients send {names.BACKEND_HEADER}, or put both backends into one LLMRoute"
        yield Diagnostic(codes.AMBIGUOUS_DEFAULT, two.origin, message, hint, Severity.WARNING)
