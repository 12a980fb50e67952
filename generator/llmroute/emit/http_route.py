"""HTTPRoute: one rule per backend, chosen by the header in which a client, or the filter, names it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from llmroute import names
from llmroute.emit.charges import BEHIND_THE_CHECK
from llmroute.emit.metadata import object_for
from llmroute.plan import Backend, Route
from llmroute.render.yaml import Comment
from llmroute.settlement import admits

_UNPAID: Final = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": [names.PREPAID_HEADER]}}
_EVERYTHING: Final = {"type": "PathPrefix", "value": "/"}


def http_route(route: Route) -> dict[str, Any]:
    """The HTTPRoute of ``route``."""
    return object_for(
        route,
        f"{names.GATEWAY_API}/v1",
        "HTTPRoute",
        {
            "parentRefs": [{"group": g.group, "kind": g.kind, "name": g.name} for g in route.gateways],
            "rules": [*(_rule(route, backend) for backend in route.backends), *_undecided(route)],
        },
    )


def _undecided(route: Route) -> Iterator[Any]:
    """Requests that name no backend, until the filter has named one; then another of the rules has them.

    Without a backend of its own it is a 500 of Envoy Gateway's, so a fault in the filter is no answer that
    nobody is charged for. The policies apply here as well.
    """
    if route.undecided:
        text = "The filter names the backend by the model. Where it cannot, this is a 500."
        yield Comment(text, {"matches": [{"path": _EVERYTHING}]})


def _rule(route: Route, backend: Backend) -> dict[str, Any]:
    named = {"type": "Exact", "name": names.BACKEND_HEADER, "value": backend.name}
    matches: list[Any] = [{"path": _EVERYTHING, "headers": [named]}]
    if route.takes_unnamed:
        matches.append(Comment("The only backend, so a request that names none comes here too.", {"path": _EVERYTHING}))
    reference: dict[str, Any] = {"group": backend.group, "kind": backend.kind, "name": backend.name}
    if backend.port is not None:
        reference["port"] = backend.port
    rule: dict[str, Any] = {"matches": matches}
    filters = [*_unpaid(route), *_named_as(backend)]
    if filters:
        rule["filters"] = filters
    rule["timeouts"] = Comment("Envoy's default would cut a stream after 15 s.", {"request": _duration(route)})
    rule["backendRefs"] = [reference]
    return rule


def _unpaid(route: Route) -> Iterator[Comment]:
    if admits(route):
        yield Comment(BEHIND_THE_CHECK, _UNPAID)


def _named_as(backend: Backend) -> Iterator[Comment]:
    """A backend with TLS is elsewhere, and many of those serve by name. Envoy Gateway leaves the client's as it is."""
    hosts = {endpoint.host for endpoint in backend.endpoints if endpoint.tls and not endpoint.is_ip}
    if len(hosts) == 1:
        rewrite = {"type": "URLRewrite", "urlRewrite": {"hostname": hosts.pop()}}
        yield Comment("The name that the backend's certificate is for, not the one that the client called.", rewrite)


def _duration(route: Route) -> str:
    hours, rest = divmod(route.timeout_seconds, 3600)
    return f"{route.timeout_seconds}s" if rest else f"{hours}h"
