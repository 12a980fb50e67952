"""The embedded rate limit service's counters over HTTP, to be read and nothing else: ``GET /counters``."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from llmroute import names
from llmroute.limiter import Clock
from llmroute.local.errors import StartError
from llmroute.plan import Endpoint


@contextlib.contextmanager
def counters_endpoint(counters: Callable[[], Mapping[str, int]], clock: Clock, listen: Endpoint) -> Iterator[str]:
    """Serve ``{"now": seconds, "counters": {key: hits}}`` on ``listen`` (port 0: a free one) and give the URL.

    Raises ``StartError`` when the address cannot be had.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path != names.COUNTERS_PATH:
                self.send_error(HTTPStatus.NOT_FOUND)
                return
            body = json.dumps({"now": clock(), "counters": dict(counters())}).encode()
            self.send_response(HTTPStatus.OK)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing: ``run`` prints what it serves, and no more."""

    try:
        server = ThreadingHTTPServer((listen.host, listen.port), Handler)
    except OSError as error:
        raise StartError(f"cannot show counters on {listen}: {error.strerror or error}") from error
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, name="counters", daemon=True)
    thread.start()
    try:
        yield f"http://{Endpoint(listen.host, server.server_port)}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
