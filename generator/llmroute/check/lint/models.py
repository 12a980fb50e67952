"""Limits of a model that no backend serves, or another one than theirs."""

from __future__ import annotations

from collections.abc import Iterator

from llmroute import codes, names
from llmroute.diagnostic import Diagnostic, Severity
from llmroute.matching import takes
from llmroute.plan import Backend, Match, Route, Selector


def check(route: Route) -> Iterator[Diagnostic]:
    """Where the backends say what they serve. The model ``unknown`` is nobody's, and worth a limit."""
    if not route.routes_by_model:
        return
    seen: set[Selector] = set()
    for backend, limit in route.limits():
        for selector in limit.selectors:
            if selector.header == names.MODEL_HEADER and selector not in seen:
                seen.add(selector)
                if not takes(selector, names.UNKNOWN) and not _served(route, selector, backend):
                    yield _nobody(route, selector, backend)


def _served(route: Route, selector: Selector, backend: Backend | None) -> bool:
    """Whether a request that ``selector`` takes can get to ``backend``, to any for None, by its model."""
    if backend and names.REST in backend.models:
        elsewhere = {model for other in route.backends if other is not backend for model in other.models}
        return selector.match is not Match.EXACT or selector.value not in elsewhere
    backends = route.backends if backend is None else (backend,)
    models = {model for each in backends for model in each.models}
    return names.REST in models or any(takes(selector, model) for model in models)


def _nobody(route: Route, selector: Selector, backend: Backend | None) -> Diagnostic:
    who = backend.name if backend and len(route.backends) > 1 else "no backend"
    serves = "does not serve" if who != "no backend" else "serves"
    message = f"{who} {serves} {selector.value}: only a client that names a backend itself can meet this rule"
    hint = "correct the model, or add it to the backend's models"
    return Diagnostic(codes.NOBODY_SERVES, selector.origin, message, hint, Severity.WARNING)
