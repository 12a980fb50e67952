"""Backends: each once, and with an address where the target needs one."""

from __future__ import annotations

from collections.abc import Iterator

from llmroute import codes
from llmroute.diagnostic import Diagnostic
from llmroute.lower import DEFAULT_NAMESPACE
from llmroute.plan import Backend, Plan, Route
from llmroute.targets import Capabilities


def check(plan: Plan, target: Capabilities) -> Iterator[Diagnostic]:
    """Duplicates; Services without a port; missing addresses."""
    for route in plan.routes:
        first: dict[str, Backend] = {}
        for backend in route.backends:
            other = first.setdefault(backend.name, backend)
            if other is not backend:
                message = f"backend {backend.name} stands at {other.origin} already"
                yield Diagnostic(codes.DUPLICATE_BACKEND, backend.origin, message, "merge their rules into one")
            yield from _address(route, backend, target)


def _address(route: Route, backend: Backend, target: Capabilities) -> Iterator[Diagnostic]:
    if backend.kind == "Service" and backend.port is None:
        message = f"backend {backend.name} is a Service and has no port"
        yield Diagnostic(codes.MISSING_FIELD, backend.origin, message, "add backendRef.port")
    elif target.needs_addresses and not backend.endpoints:
        wanted = f"{backend.kind} {route.namespace or DEFAULT_NAMESPACE}/{backend.name}"
        message = f"the input has no {wanted} with an address (fqdn or ip, and a port)"
        hint = f"add it to the input, or say --upstream {backend.name}=http://HOST:PORT"
        yield Diagnostic(codes.NO_ADDRESS, backend.origin, message, hint)
