"""Every format through a whole stack: the model that the upstream sees, the bytes at the client, the charge."""

from __future__ import annotations

import http.client
import uuid
from typing import Final
from urllib.parse import urlsplit

import pytest

from e2e.client import WITHIN, Client, usage
from e2e.conftest import Serve
from llmroute import names
from llmroute.conformance.upstream import MARK_HEADER, SCRIPT_HEADER, Chunk, Script, script_header
from llmroute.conformance.wire import Fixture, load
from tests.policies import header, limit, route, rule, text

POLICY: Final = text(route(rule(limit(1_000_000, unit="Day"), headers=[header(names.USER_HEADER, "Distinct")])))
FIXTURES: Final = [
    each for fixture in load() for each in ((fixture, fixture.asked()) if fixture.forced else (fixture,))
]
SENTINEL: Final = 3
"""Tokens of a request after the one of the fixture: once they are counted, so is all that came before."""


def exchange(client: Client, fixture: Fixture) -> tuple[int, bytes, str]:
    """Status and body of the answer, and the request's mark; no library touches path, headers or body."""
    mark = uuid.uuid4().hex
    script = Script(headers={"content-type": fixture.content_type}, chunks=(Chunk(fixture.answer),))
    headers = {
        "content-length": str(len(fixture.request)),
        names.USER_HEADER: client.user,
        MARK_HEADER: mark,
        SCRIPT_HEADER: script_header(script),
    } | dict(fixture.headers)
    connection = http.client.HTTPConnection(urlsplit(client.stack.url).netloc, timeout=WITHIN)
    try:
        connection.putrequest("POST", fixture.path, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders(fixture.request)
        response = connection.getresponse()
        return response.status, response.read(), mark
    finally:
        connection.close()


@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda fixture: fixture.id)
def test_format(serve: Serve, fixture: Fixture) -> None:
    """The path arrives as it was sent, with the model beside it; the counter has the total, to the token."""
    client = serve(POLICY)
    status, body, mark = exchange(client, fixture)
    assert (status, body) == (200, fixture.client)
    served = client.stack.upstream.served(mark)
    assert served
    assert served.path == fixture.path
    assert [value for name, value in served.headers if name.lower() == names.MODEL_HEADER] == [fixture.model]
    total = fixture.numbers.total + SENTINEL
    assert client.chat(script=Script(usage=usage(SENTINEL))).status == 200
    assert client.settled(total) == total
