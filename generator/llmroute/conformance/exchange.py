"""One exchange with a gateway, byte for byte: no library puts a request or its answer in order."""

from __future__ import annotations

import http.client
import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from llmroute import names
from llmroute.conformance.adapters.protocol import Upstream
from llmroute.conformance.case import Request, placed, user_of
from llmroute.conformance.upstream import MARK_HEADER, SCRIPT_HEADER, Script, Served, script_header

WITHIN: Final = 10.0
"""Seconds until an answer or a condition must have come."""
_POLL: Final = 0.002
_READ: Final = 65_536
_TYPE: Final = "content-type"


class NoAnswer(Exception):  # noqa: N818 it is what the gateway did, not a fault of the suite
    """The gateway did not answer, or not to the end; the message says how."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, and what the upstream served for it (None: the request never reached it)."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    served: Served | None

    def header(self, name: str) -> str | None:
        """All values of a header, joined by commas as HTTP has it; None where it is not there."""
        values = [value for key, value in self.headers if key.lower() == name]
        return ", ".join(values) if values else None

    def json(self) -> Any:
        """The body as JSON; None where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class Sender:
    """Somebody who sends requests to a gateway: ``user`` is who they are."""

    url: str
    upstream: Upstream
    user: str

    def exchange(self, request: Request, script: Script, mark: str = "") -> Answer:
        """A request and its whole answer.

        Raises:
            NoAnswer: there was none.
        """
        mark = mark or uuid.uuid4().hex
        with self.sent(request, script, mark) as response:
            with _telling():
                body = response.read()
            return Answer(response.status, tuple(response.getheaders()), body, self.upstream.served(mark))

    @contextmanager
    def sent(self, request: Request, script: Script, mark: str) -> Iterator[http.client.HTTPResponse]:
        """A request under way, and the head of its answer; the connection is closed at the end, read or not.

        Raises:
            NoAnswer: there was none.
        """
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.netloc, timeout=WITHIN)
        try:
            with _telling():
                connection.putrequest(request.method, parts.path + request.path, skip_accept_encoding=True)
                for name, value in self._headers(request, script, mark):
                    connection.putheader(name, value)
                body = request.content or None
                connection.endheaders(body, encode_chunked=body is not None and not request.length)
                response = connection.getresponse()
            try:
                yield response
            finally:
                response.close()
        finally:
            connection.close()

    def _headers(self, request: Request, script: Script, mark: str) -> Iterator[tuple[str, str]]:
        given = [(name, placed(value, self.user)) for name, value in request.headers]
        known = {name.lower() for name, _ in given}
        if request.content:
            if _TYPE not in known:
                yield _TYPE, "application/json"
            yield ("content-length", str(len(request.content))) if request.length else ("transfer-encoding", "chunked")
        if request.user is not None and names.USER_HEADER not in known:
            yield names.USER_HEADER, user_of(request, self.user)
        yield from given
        yield MARK_HEADER, mark
        if script != Script():
            yield SCRIPT_HEADER, script_header(script)


@contextmanager
def _telling() -> Iterator[None]:
    """What goes wrong with a connection is something that the gateway did."""
    try:
        yield
    except http.client.IncompleteRead as error:
        raise NoAnswer(f"the answer broke off after {len(error.partial)} bytes") from error
    except (OSError, http.client.HTTPException) as error:
        raise NoAnswer(f"{type(error).__name__}: {error}") from error


def read_bytes(response: http.client.HTTPResponse, count: int) -> bytes:
    """The next ``count`` bytes or a little more, as they come; fewer where the answer ends.

    Raises:
        NoAnswer: the connection broke, or nothing came in time.
    """
    found = b""
    with _telling():
        while len(found) < count and (more := response.read1(_READ)):
            found += more
    return found


def wait_for(condition: Callable[[], bool], within: float = WITHIN) -> bool:
    """Whether ``condition`` came true in time (seconds)."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL)
    return True
