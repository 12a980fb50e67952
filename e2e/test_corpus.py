"""The adversarial corpus of the filter's tests, through a real gateway: bodies to the byte, charges to the token."""

from __future__ import annotations

import http.client
import json
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import pytest

from e2e.client import WITHIN, Client, usage
from e2e.conftest import Serve
from e2e.stacks.protocol import on_envoy_gateway
from llmroute import names
from llmroute.conformance.upstream import MARK_HEADER, SCRIPT_HEADER, Chunk, Script, Served, script_header
from tests.filters.corpus import Trick, tricks
from tests.policies import header, limit, route, rule, text

SENDABLE: Final = sorted((t for t in tricks() if not t.unsendable), key=lambda t: (json.dumps(t.context), t.name))
"""Tricks of one policy in a row: a new policy is a new gateway. The others say in their files why they are not here."""
QUANTITY: Final = 4_000_000_000
SENTINEL: Final = 3
"""Tokens of a request after the trick: once they are counted, so is all that the trick was charged."""
RUN: Final = re.compile(rb"(.{1,80}?)\1{99,}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Got:
    """What came back, byte for byte, and what the upstream saw."""

    status: int
    headers: dict[str, str]
    body: bytes
    served: Served | None


def policy(context: dict[str, Any]) -> str:
    """A day's limit for every user, and the policy that gives the filter this context."""
    document = route(rule(limit(QUANTITY, unit="Day"), headers=[header(names.USER_HEADER, "Distinct")]))
    spec = dict(context)
    if "maxTokens" in spec:
        spec["admission"] = {"maxTokens": spec.pop("maxTokens")}
    document["spec"] |= spec
    return text(document)


def pieces(body: bytes) -> Iterator[Chunk]:
    """The body in chunks that a header can carry: what repeats is written once."""
    at = 0
    for run in RUN.finditer(body):
        if run.start() > at:
            yield Chunk(body[at : run.start()])
        yield Chunk(run[1], times=len(run[0]) // len(run[1]))
        at = run.end()
    if at < len(body):
        yield Chunk(body[at:])


def exchange(client: Client, trick: Trick) -> Got:
    """Send the request as it stands: no library puts its path, headers or body in order."""
    mark = uuid.uuid4().hex
    script = Script(status=trick.status, headers=dict(trick.answer_headers), chunks=tuple(pieces(trick.answer)))
    ours = ((names.USER_HEADER, client.user), (MARK_HEADER, mark), (SCRIPT_HEADER, script_header(script)))
    connection = http.client.HTTPConnection(urlsplit(client.stack.url).netloc, timeout=WITHIN)
    try:
        connection.putrequest(trick.method, trick.path, skip_accept_encoding=True)
        for name, value in (*trick.request_headers, *ours, ("content-length", str(len(trick.request or b"")))):
            connection.putheader(name, value)
        connection.endheaders(trick.request)
        response = connection.getresponse()
        body = response.read()
        head = {name.lower(): value for name, value in response.getheaders()}
        return Got(response.status, head, body, client.stack.upstream.served(mark))
    finally:
        connection.close()


def assert_charged(client: Client, expected: int) -> None:
    """Exactly so much was counted for the trick, and nothing is still to come."""
    total = expected + SENTINEL
    assert client.chat(script=Script(usage=usage(SENTINEL))).status == 200
    assert client.settled(total) == total


@pytest.mark.parametrize("trick", SENDABLE, ids=lambda trick: trick.name)
def test_trick(serve: Serve, trick: Trick) -> None:
    """The upstream gets the model and the bytes that the file says, the client its bytes, the counter the total."""
    client = serve(policy(trick.context))
    got = exchange(client, trick)
    if trick.redirected and on_envoy_gateway(client.stack):
        assert (got.status, got.served) == (307, None)
        assert_charged(client, 0)
        return
    assert got.status == trick.status
    assert got.served
    models = [v.encode("latin-1").decode() for n, v in got.served.headers if n.lower() == names.MODEL_HEADER]
    assert models == [trick.model]
    assert got.served.body == trick.upstream
    assert got.body == trick.client
    for name, value in trick.headers.items():
        assert got.headers.get(name) == value
    assert_charged(client, trick.tokens[2])
