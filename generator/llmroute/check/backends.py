"""Backends: each once, with models of its own, and with an address where the target needs one."""

from __future__ import annotations

from collections.abc import Iterator

from llmroute import codes, names
from llmroute.check.headers import not_a_value
from llmroute.check.places import Places
from llmroute.diagnostic import Diagnostic, Origin
from llmroute.lower import DEFAULT_NAMESPACE
from llmroute.plan import Backend, Plan, Route
from llmroute.targets import Capabilities


def check(plan: Plan, target: Capabilities, places: Places) -> Iterator[Diagnostic]:
    """Duplicates; Services without a port; missing addresses; models of two backends."""
    for route in plan.routes:
        first: dict[str, Backend] = {}
        for backend in route.backends:
            other = first.setdefault(backend.name, backend)
            if other is not backend:
                message = f"backend {backend.name} stands at {other.origin} already"
                yield Diagnostic(codes.DUPLICATE_BACKEND, backend.origin, message, "merge their rules into one")
            yield from _address(route, backend, target)
        yield from _models(route, places)


def _models(route: Route, places: Places) -> Iterator[Diagnostic]:
    first: dict[str, Backend] = {}
    for backend in route.backends:
        for i, model in enumerate(backend.models):
            origin = places.beside(backend.origin, (*backend.origin.path[:-2], "models", i))
            other = first.setdefault(model, backend)
            if not_a_value(model):
                message = f"no request can have the model {model!r}"
                yield Diagnostic(codes.WRONG_VALUE, origin, message, "no control characters or outer spaces")
            elif model in backend.models[:i] or other is not backend:
                yield _twice(model, backend, other, origin)


def _twice(model: str, backend: Backend, other: Backend, origin: Origin) -> Diagnostic:
    where = " already" if other is backend else f", as does {other.name} ({other.origin})"
    if model == names.REST:
        message = f"{backend.name} takes the models that no other backend serves{where}"
        return Diagnostic(codes.TWO_TAKE_THE_REST, origin, message, f'keep one "{names.REST}"')
    message = f"{backend.name} serves the model {model}{where}"
    hint = f"keep it once; a client may still name a backend in {names.BACKEND_HEADER}"
    return Diagnostic(codes.MODEL_TWICE, origin, message, hint)


def _address(route: Route, backend: Backend, target: Capabilities) -> Iterator[Diagnostic]:
    if backend.kind == "Service" and backend.port is None:
        message = f"backend {backend.name} is a Service and has no port"
        yield Diagnostic(codes.MISSING_FIELD, backend.origin, message, "add backendRef.port")
    elif target.needs_addresses and not backend.endpoints:
        wanted = f"{backend.kind} {route.namespace or DEFAULT_NAMESPACE}/{backend.name}"
        message = f"the input has no {wanted} with an address (fqdn or ip, and a port)"
        hint = (
            f"add it to the input; llmroute run also takes a stand-in: say --upstream {backend.name}=http://HOST:PORT"
        )
        yield Diagnostic(codes.NO_ADDRESS, backend.origin, message, hint)
