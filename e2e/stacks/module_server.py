"""A web server on loopback with the filter's wasm module, for an Envoy Gateway to get it from."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from llmroute.render.wasm import filter_module


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """The module, whatever was asked for."""
        module = filter_module()
        self.send_response(200)
        self.send_header("content-type", "application/wasm")
        self.send_header("content-length", str(len(module)))
        self.end_headers()
        self.wfile.write(module)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the base class calls it so
        """Says nothing."""


class ModuleServer:
    """Serves as long as it is entered."""

    def __init__(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)

    @property
    def url(self) -> str:
        """Where the module is."""
        return f"http://127.0.0.1:{self._server.server_port}/filter.wasm"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
