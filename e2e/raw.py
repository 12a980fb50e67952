"""One exchange with the gateway, byte for byte: no library puts the request or its answer in order."""

from __future__ import annotations

import http.client
import uuid
from typing import Final, Self
from urllib.parse import urlsplit

from e2e.client import CHAT, WITHIN, Client
from llmroute import names
from llmroute.conformance.upstream import MARK_HEADER, SCRIPT_HEADER, Script, script_header

PLAIN: Final = b'{"model":"m","messages":["1"]}'


class Raw:
    """One exchange with nothing between the test and the bytes."""

    def __init__(self, client: Client, script: Script, *, method: str = "POST", path: str = CHAT) -> None:
        self.client = client
        self.mark = uuid.uuid4().hex
        self.connection = http.client.HTTPConnection(urlsplit(client.stack.url).netloc, timeout=WITHIN)
        self.connection.putrequest(method, path, skip_accept_encoding=True)
        self.header("content-type", "application/json")
        self.header(names.USER_HEADER, client.user)
        self.header(MARK_HEADER, self.mark)
        self.header(SCRIPT_HEADER, script_header(script))

    def header(self, name: str, value: str) -> None:
        """One more header."""
        self.connection.putheader(name, value)

    def send(self, body: bytes | None = PLAIN) -> http.client.HTTPResponse:
        """The request, and the head of its answer."""
        if body is not None:
            self.header("content-length", str(len(body)))
        self.connection.endheaders(body)
        return self.connection.getresponse()

    def exchange(self, body: bytes | None = PLAIN) -> tuple[http.client.HTTPResponse, bytes]:
        """The request and its whole answer; the upstream has seen it."""
        with self:
            response = self.send(body)
            content = response.read()
            assert self.client.stack.upstream.served(self.mark)
            return response, content

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()
