"""A web server on loopback with the filter's wasm module, and a registry with its image, for an Envoy Gateway."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Final, Self

from llmroute.render.oci import SCHEME, TAG, module_image
from llmroute.render.wasm import filter_module

_FILE: Final = "/filter.wasm"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """The module, or what a registry says of a layout: manifests by tag or digest, blobs by digest."""
        kind, content = _found(self.path)
        self.send_response(200 if kind else 404)
        self.send_header("content-type", kind or "text/plain")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def do_HEAD(self) -> None:
        """The same without a body."""
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def _found(path: str) -> tuple[str, bytes]:
    if path == _FILE:
        return "application/wasm", filter_module()
    if path == "/v2/":
        return "application/json", b"{}"
    image = module_image()
    name = path.rpartition("/")[2]
    digest = f"sha256:{image.digest}" if name == TAG else name
    blob = image.files.get(f"blobs/{digest.replace(':', '/')}", b"")
    if not blob:
        return "", b""
    kind = json.loads(blob)["mediaType"] if "/manifests/" in path else "application/octet-stream"
    return kind, blob


class ModuleServer:
    """Serves as long as it is entered."""

    def __init__(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)

    @property
    def url(self) -> str:
        """Where the module is."""
        return f"http://127.0.0.1:{self._server.server_port}{_FILE}"

    @property
    def image_url(self) -> str:
        """Where its image is."""
        return f"{SCHEME}127.0.0.1:{self._server.server_port}/llmroute:{TAG}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
