"""TLS to a backend of a plain Envoy: an authority that is trusted, and the host that was meant; else nothing is sent."""

from __future__ import annotations

import http.server
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from e2e.certificates import Authority
from e2e.client import CHAT
from llmroute.local import services
from llmroute.local.gateway import serve
from llmroute.lower import StandIns
from llmroute.pipeline import compile_policies
from llmroute.plan import Endpoint
from llmroute.targets import ENVOY, capabilities
from tests.policies import limit, route, rule, text


@contextmanager
def model_server(certificate: Path) -> Iterator[tuple[int, list[str]]]:
    """The port of a server with this certificate, and the paths that it was asked for."""
    asked: list[str] = []

    class Model(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path)
            content = json.dumps({"usage": {"total_tokens": 5}}).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Nothing: a test's output is for what fails."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Model) as server:
        # The handshake belongs to the connection's thread, as one that fails would end the server's own.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port, asked
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("host", "certified", "trusted", "status"),
    [
        ("localhost", "localhost", True, 200),
        ("127.0.0.1", "127.0.0.1", True, 200),
        ("localhost", "localhost", False, 503),
        ("localhost", "elsewhere.example.com", True, 503),
        ("127.0.0.1", "127.0.0.2", True, 503),
    ],
    ids=["name", "address", "unknown-authority", "another-name", "another-address"],
)
def test_a_backend_is_who_it_should_be(
    host: str, certified: str, trusted: bool, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request to anybody else is a 503, and that one sees nothing of it."""
    authority, other = Authority(tmp_path / "ours"), Authority(tmp_path / "other")
    monkeypatch.setenv("SSL_CERT_FILE", str((authority if trusted else other).file))
    with model_server(authority.server(certified)) as (port, asked):
        stand_ins: StandIns = {None: Endpoint(host, port, tls=True)}
        policy = text(route(rule(limit(100))))
        compiled = compile_policies([("policy.yaml", policy)], capabilities(ENVOY), stand_ins=stand_ins)
        with serve(compiled.plan, services.embedded()) as gateway:
            answer = httpx.post(f"{gateway.url}{CHAT}", json={"model": "m", "messages": []}, trust_env=False)
        assert (answer.status_code, len(asked)) == (status, int(status == 200)), answer.text
