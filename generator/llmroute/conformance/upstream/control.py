"""Remote control, for an upstream that runs in a container: what it served, and letting holds go.

::

    GET  /_llmroute/served?request=ID    200 and the record as JSON; 404 if no such request ever came
    POST /_llmroute/release?name=NAME    204: everything that holds for NAME goes on, now and later

``ID`` is a request's ``x-llmroute-request`` or ``x-request-id``. The record has the fields of ``Served``,
``headers`` as pairs and ``body`` in base64. Calls are not entered in the ledger.

No LLM API has such paths. A request for one that a proxy forwarded is an ordinary request all the same,
recorded and answered like any other: what comes through a gateway commands nothing here.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final

from aiohttp import web

from llmroute.conformance.upstream import openai
from llmroute.conformance.upstream.holds import Holds
from llmroute.conformance.upstream.ledger import Ledger, Served

SERVED_PATH: Final = "/_llmroute/served"
RELEASE_PATH: Final = "/_llmroute/release"
_FORWARDED: Final = "x-forwarded-proto"
"""Envoy sets it on every request that it forwards."""


def is_control(request: web.Request) -> bool:
    """Whether a request is for the control and came without a proxy."""
    return request.path in (SERVED_PATH, RELEASE_PATH) and _FORWARDED not in request.headers


def answer(request: web.Request, ledger: Ledger, holds: Holds) -> web.Response:
    """The answer to a request for which ``is_control`` holds."""
    method, parameter = ("GET", "request") if request.path == SERVED_PATH else ("POST", "name")
    value = request.query.get(parameter)
    if request.method != method:
        return _error(405, f"{request.path} takes {method}")
    if not value:
        return _error(400, f"{request.path} needs ?{parameter}=")
    if request.path == RELEASE_PATH:
        holds.event(value).set()
        return web.Response(status=204)
    served = ledger.find(value)
    if served is None:
        return _error(404, f"no request {value} ever came")
    return web.Response(body=openai.dump(to_document(served)), content_type="application/json")


def to_document(served: Served) -> dict[str, Any]:
    """A record as JSON has it."""
    document = {item.name: getattr(served, item.name) for item in fields(served)}
    return document | {"body": base64.b64encode(served.body).decode()}


def from_document(document: Mapping[str, Any]) -> Served:
    """The record that ``to_document`` wrote."""
    headers = tuple((name, value) for name, value in document["headers"])
    return Served(**(dict(document) | {"headers": headers, "body": base64.b64decode(document["body"])}))


def _error(status: int, message: str) -> web.Response:
    body = openai.dump(openai.error(status, message))
    return web.Response(status=status, body=body, content_type="application/json")
