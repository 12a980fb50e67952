"""BackendTrafficPolicy: the limits, as shared global rules in the order of the document.

``shared`` makes one counter per rule: without it Envoy Gateway keeps one for every listener and
HTTPRoute match (PLATFORM 2.7). The counters' keys hold the rule's index, so the order is the
document's and new rules belong to its end (2.8).
"""

from __future__ import annotations

from typing import Any, Final

from llmroute import names
from llmroute.emit.charges import charge_key
from llmroute.emit.filter_context import held_bytes
from llmroute.emit.in_flight import others
from llmroute.emit.metadata import object_for, on_http_route
from llmroute.encoding import Charge, Encoded, encode
from llmroute.plan import Backend, Limit, Match, Route, Selector
from llmroute.render.yaml import Comment
from llmroute.settlement import prepays

_NOT_PREPAID: Final = {"type": "Exact", "name": names.PREPAID_HEADER, "value": names.PREPAID, "invert": True}
_KIBIBYTE = 1024


def traffic_policy(route: Route, *, charged_by_filter: bool) -> dict[str, Any]:
    """The BackendTrafficPolicy of ``route``. ``charged_by_filter``: what answers use, nobody else charges."""
    rules = [_rule(route, backend, limit, charged_by_filter=charged_by_filter) for backend, limit in route.limits()]
    size = f"{held_bytes(route) // _KIBIBYTE}Ki"
    spec: dict[str, Any] = {
        "targetRefs": on_http_route(route),
        "requestBuffer": Comment(
            "The filter reads the model from the body and may add 4 KiB: Envoy's default is 32 KiB in all.",
            {"limit": size},
        ),
    }
    if route.admission.max_in_flight is not None:
        spec["circuitBreaker"] = _circuit_breaker(route.admission.max_in_flight)
    if rules:
        spec["rateLimit"] = {"type": "Global", "global": {"rules": rules}}
    return object_for(route, f"{names.ENVOY_GATEWAY_API}/v1alpha1", "BackendTrafficPolicy", spec)


def _circuit_breaker(most: int) -> dict[str, Any]:
    """What is over ``maxParallelRequests`` is a 503 at once. The rest must not bind before it does."""
    return {
        "maxParallelRequests": Comment("Requests in flight, for each Envoy and each backend; more are a 503.", most),
        "maxConnections": Comment("HTTP/1.1 takes a connection for each request.", others(most)),
        "maxPendingRequests": others(most),
    }


def _rule(route: Route, backend: Backend | None, limit: Limit, *, charged_by_filter: bool) -> Comment:
    encoded = encode(limit, route.admission)
    headers: list[dict[str, Any] | Comment] = [_selector(s) for s in limit.selectors]
    if backend and route.tells(backend):
        headers.insert(0, {"type": "Exact", "name": names.BACKEND_HEADER, "value": backend.name})
    if prepays(route, limit):
        headers.append(Comment("Not one that the filter has admitted itself.", _NOT_PREPAID))
    rule: dict[str, Any] = {}
    if headers:
        rule["clientSelectors"] = [{"headers": headers}]
    rule["limit"] = {"requests": encoded.reported, "unit": limit.unit.value}
    rule["cost"] = _cost(encoded, None if charged_by_filter else charge_key(route, limit))
    rule["shared"] = True
    if limit.shadow:
        rule["shadowMode"] = True
    rule["xRateLimitHeaders"] = "DraftVersion03"
    return Comment(encoded.comment, rule)


def _cost(encoded: Encoded, charge: str | None) -> dict[str, Any]:
    """``charge``: where the filter says what an answer used, if the proxy is to charge that."""
    check: Any = {"from": "Number", "number": encoded.check_cost}
    if encoded.check_cost is None:
        check = Comment("Never there, so nothing is checked.", _metadata(names.NEVER))
    cost: dict[str, Any] = {"request": check}
    if encoded.charge is Charge.USAGE:
        if charge is not None:
            cost["response"] = _metadata(charge)
    elif encoded.charge:
        cost["response"] = {"from": "Number", "number": encoded.charge}
    return cost


def _metadata(key: str) -> dict[str, Any]:
    return {"from": "Metadata", "metadata": {"namespace": names.METADATA_NAMESPACE, "key": key}}


def _selector(selector: Selector) -> dict[str, Any]:
    match: dict[str, Any] = {"type": selector.match.value, "name": selector.header}
    if selector.match is not Match.DISTINCT:
        match["value"] = selector.value
    return match
