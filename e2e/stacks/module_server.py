"""A web server on loopback with wasm modules, for an Envoy Gateway to get them from."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from llmroute.render.wasm import NamedModule


class _Server(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        """A module, by its name."""
        module = self.server.files.get(self.path)
        if module is None:
            self.send_error(404)
            return
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
        self._server = _Server()
        self._thread = threading.Thread(target=self._server.serve_forever)

    @property
    def url(self) -> str:
        """Where the modules are."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def offer(self, modules: Iterable[NamedModule]) -> None:
        """Serve these, too."""
        self._server.files |= {f"/{module.name}.wasm": module.content for module in modules}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
