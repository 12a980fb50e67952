"""Names of routes, and what happens when several meet on one gateway."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Final, TypeVar

from llmroute import codes, names
from llmroute.diagnostic import Diagnostic, Severity
from llmroute.lower import DEFAULT_NAMESPACE
from llmroute.plan import Plan, Route
from llmroute.source import Document
from llmroute.targets import Capabilities

_KINDS: Final = ("BackendTrafficPolicy", "EnvoyExtensionPolicy", "HTTPRoute")
_IDENTITY_KIND: Final = "SecurityPolicy"
_Key = TypeVar("_Key", bound=Hashable)
_Gateway = tuple[str, ...]
"""Namespace and name; nothing where all routes share one listener."""


def check(plan: Plan, documents: Sequence[Document], target: Capabilities) -> Iterator[Diagnostic]:
    """Duplicate names, collisions with passed-through resources, ambiguous routing."""
    yield from _duplicates(plan)
    if not target.one_listener:
        yield from _taken(plan, documents)
    yield from _ambiguous(plan, target)


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


def _ambiguous(plan: Plan, target: Capabilities) -> Iterator[Diagnostic]:
    """Said once, of the first route that is in the way: of a thousand on one gateway half a million pairs are."""
    serving: dict[tuple[_Gateway, str], Route] = {}
    unnamed: dict[_Gateway, Route] = {}
    for route in plan.routes:
        gateways = list(_gateways(route, target))
        for backend in route.backends:
            if one := _first(route, serving, [(gateway, backend.name) for gateway in gateways]):
                message = (
                    f"requests that name backend {backend.name} go to LLMRoute {one.name} ({one.origin}); "
                    f"the limits here would never count"
                )
                yield Diagnostic(codes.AMBIGUOUS_BACKEND, backend.origin, message, "keep a backend in one LLMRoute")
        takes = route.takes_unnamed or route.routes_by_model
        if takes and (one := _first(route, unnamed, gateways)):
            message = (
                f"requests that name no backend go to either this LLMRoute or {one.name} ({one.origin}): "
                f"each has one backend, or chooses by model, and takes them"
            )
            hint = f"let clients send {names.BACKEND_HEADER}, or put both backends into one LLMRoute"
            yield Diagnostic(codes.AMBIGUOUS_DEFAULT, route.origin, message, hint, Severity.WARNING)


def _gateways(route: Route, target: Capabilities) -> Iterator[_Gateway]:
    if target.one_listener:
        yield ()
    else:
        yield from ((route.namespace or DEFAULT_NAMESPACE, gateway.name) for gateway in route.gateways)


def _first(route: Route, taken: dict[_Key, Route], keys: Iterable[_Key]) -> Route | None:
    """The route that had one of ``keys`` before this one, which has the free ones from now on."""
    others = [other for key in keys if (other := taken.setdefault(key, route)) is not route]
    return others[0] if others else None
