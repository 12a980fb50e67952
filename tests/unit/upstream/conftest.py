"""A running upstream, and a client that shows the bytes of an answer as they came."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from llmroute.conformance.upstream import SCRIPT_HEADER, Script, ScriptedUpstream, script_header

CHAT = "/openai/v1/chat/completions"
TIMEOUT = 5.0


@pytest.fixture
def upstream() -> Iterator[ScriptedUpstream]:
    """A fresh upstream on a free port."""
    with ScriptedUpstream() as running:
        yield running


@pytest.fixture
def client(upstream: ScriptedUpstream) -> Iterator[httpx.Client]:
    """An HTTP client whose paths are the upstream's."""
    with httpx.Client(base_url=upstream.url, timeout=TIMEOUT, trust_env=False) as http:
        yield http


def command(script: Script) -> dict[str, str]:
    """The request headers that command a script."""
    return {SCRIPT_HEADER: script_header(script)}


@dataclass(frozen=True)
class Raw:
    """An answer off the wire: its HTTP/1.1 chunks as they were framed, and whether the last one came."""

    head: str
    chunks: list[bytes]
    complete: bool


def raw_post(upstream: ScriptedUpstream, body: dict[str, Any], headers: dict[str, str]) -> Raw:
    """Post to the chat path on a socket of our own and read until the server closes."""
    data = json.dumps(body).encode()
    lines = [f"POST {CHAT} HTTP/1.1", "host: test", f"content-length: {len(data)}", "connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    with socket.create_connection(("127.0.0.1", upstream.port), TIMEOUT) as wire:
        wire.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + data)
        received = b"".join(iter(lambda: wire.recv(65536), b""))
    head, _, rest = received.partition(b"\r\n\r\n")
    if b"chunked" not in head.lower():
        return Raw(head.decode(), [rest], complete=True)
    chunks = list(_unframe(rest))
    return Raw(head.decode(), [c for c in chunks if c], complete=chunks[-1:] == [b""])


def _unframe(rest: bytes) -> Iterator[bytes]:
    """The chunks of a chunked body, the empty last one included."""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        yield rest[:length]
        rest = rest[length + 2 :]
