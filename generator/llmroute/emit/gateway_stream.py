"""The Envoy Gateway output: the input's stream, with each LLMRoute replaced by what is made of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from llmroute import names
from llmroute.emit.artifact import Artifact
from llmroute.emit.extension_policy import extension_policy
from llmroute.emit.http_route import http_route
from llmroute.emit.security_policy import security_policy
from llmroute.emit.stamp import stamp
from llmroute.emit.traffic_policy import traffic_policy
from llmroute.plan import Plan, Route
from llmroute.render.yaml import Comment, Verbatim, dump_all
from llmroute.source import Document
from llmroute.targets import Capabilities

STREAM: Final = "envoy-gateway.yaml"
_SECRET: Final = ("v1", "Secret")


def gateway_stream(plan: Plan, documents: Sequence[Document], target: Capabilities) -> Artifact:
    """One stream for ``target`` in the input's order. ``plan.routes`` stand for its LLMRoutes, one by one.

    Other documents pass through with their very text, comments included.
    """
    routes = iter(plan.routes)
    made: list[Comment | Verbatim] = []
    for document in documents:
        if document.kind == (names.API_VERSION, names.KIND):
            route = next(routes)
            made += [Comment(stamp(route), resource) for resource in _resources(route, target)]
        else:
            made.append(Verbatim(document.text))
    return Artifact(STREAM, dump_all(made), secret=any(_is_secret(document.value) for document in documents))


def _resources(route: Route, target: Capabilities) -> Iterator[dict[str, Any]]:
    yield http_route(route)
    yield extension_policy(route, target)
    yield traffic_policy(route, charged_by_filter=target.filter_charges)
    if secured := security_policy(route):
        yield secured


def _is_secret(value: Any) -> bool:
    """Whether it is a Secret, or a List with one."""
    if not isinstance(value, Mapping):
        return False
    items = value.get("items")
    return (value.get("apiVersion"), value.get("kind")) == _SECRET or (
        isinstance(items, list) and any(_is_secret(item) for item in items)
    )
