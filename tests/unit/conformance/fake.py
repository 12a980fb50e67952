"""A gateway of a page: it counts what JSON answers report for each user, and can be told to have a defect."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import json
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Self

from llmroute import names
from llmroute.conformance.adapters.plain import plain_plan
from llmroute.conformance.adapters.protocol import Clock, Gateway, Outage
from llmroute.conformance.features import Admission, Feature
from llmroute.conformance.upstream import ScriptedUpstream

_HOPS: Final = {"connection", "transfer-encoding", "content-length"}


@dataclass
class FakeGateway:
    """One limit of total tokens for each user, or none; other policies are not for it."""

    upstream: ScriptedUpstream
    quantity: int
    up_to: bool = False
    charge: int = 0
    """What is charged beside what was reported."""
    leaks: bool = False
    """Refused requests reach the upstream all the same."""
    hangs_up: bool = False
    """Connections are closed without an answer."""
    counters: Counter[str] = field(default_factory=Counter)
    url: str = ""

    def used(self, limit: int, *values: str) -> int:
        """Of the user."""
        assert limit == 0
        return self.counters[values[0]]

    def reset(self) -> None:
        """Everybody begins at 0."""
        self.counters.clear()

    @property
    def clock(self) -> Clock:
        """It has none."""
        raise NotImplementedError

    @property
    def outage(self) -> Outage:
        """It has none."""
        raise NotImplementedError

    def logs(self) -> str:
        """What it would say of itself."""
        return "a line of the log"

    def admits(self, user: str) -> bool:
        """By its rule."""
        return self.counters[user] < self.quantity + self.up_to

    def forward(self, method: str, path: str, headers: list[tuple[str, str]], body: bytes) -> tuple[int, Any, bytes]:
        """The upstream's answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.upstream.port)
        sent = {name: value for name, value in headers if name.lower() not in _HOPS}
        connection.request(method, path, body, sent)
        response = connection.getresponse()
        content = response.read()
        connection.close()
        return response.status, response.getheaders(), content


def _tokens(content: bytes) -> int:
    """The total that an answer reports, whole or as a stream that was asked to."""
    events = [line.removeprefix(b"data: ") for line in content.splitlines() if line.startswith(b"data: {")]
    usages = [json.loads(event).get("usage") for event in events or [content]]
    return int(next(usage for usage in reversed(usages) if usage)["total_tokens"])


class _Server(http.server.ThreadingHTTPServer):
    gateway: FakeGateway
    daemon_threads = True


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        gateway = self.server.gateway
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        if gateway.hangs_up:
            self.close_connection = True
            return
        user = self.headers[names.USER_HEADER]
        admitted = gateway.admits(user)
        if admitted or gateway.leaks:
            status, headers, content = gateway.forward("POST", self.path, self.headers.items(), body)
        if not admitted:
            self._answer(429, [], b"{}")
            return
        if status == 200:
            gateway.counters[user] += _tokens(content) + gateway.charge
        self._answer(status, headers, content)

    def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in _HOPS:
                self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Nothing: a test's output is for what fails."""


@dataclass
class FakeAdapter:
    """Makes such gateways. ``served`` has the policies in order; ``broken`` is what is raised instead of a gateway."""

    features: frozenset[Feature] = frozenset({Feature.COUNTERS, Feature.RESET})
    admission: Admission = Admission.BELOW
    defects: dict[str, Any] = field(default_factory=dict)
    broken: Exception | None = None
    name: str = "fake"
    version: str = "1"
    settles: float = 0.0
    upstream: ScriptedUpstream = field(default_factory=ScriptedUpstream)
    served: list[str] = field(default_factory=list)
    open: int = 0

    @contextlib.contextmanager
    def serve(self, policy: str, *, fail_open: bool = False) -> Iterator[Gateway]:
        """A gateway of its own for each policy."""
        assert not fail_open
        if self.broken:
            raise self.broken
        (route,) = plain_plan(policy, self.upstream.port).routes
        quantities = [limit.quantity for _, limit in route.limits()]
        self.served.append(policy)
        gateway = FakeGateway(self.upstream, min(quantities, default=sys.maxsize), **self.defects)
        with _Server(("127.0.0.1", 0), _Handler) as server:
            server.gateway = gateway
            gateway.url = f"http://127.0.0.1:{server.server_port}"
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            self.open += 1
            try:
                yield gateway
            finally:
                self.open -= 1
                server.shutdown()
                thread.join()

    def __enter__(self) -> Self:
        self.upstream.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.upstream.__exit__(None, None, None)
