"""A client that has read an answer to its end and asks again at once, on a connection that waits for it.

Two sockets and nothing between: a library would take longer than the charge that is to be overtaken.
"""

from __future__ import annotations

import json
import re
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from e2e.client import CHAT, MODEL, WITHIN
from llmroute import names
from llmroute.conformance.upstream import MARK_HEADER, SCRIPT_HEADER, Script, script_header

DONE: Final = b"data: [DONE]\n\n"
TOKENS: Final = 37
"""What the scripted upstream's answer costs."""
_LENGTH: Final = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
_LAST_CHUNK: Final = b"\r\n0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Try:
    """One answer, and what became of the request after it: statuses, and the marks by which the upstream knows both.

    ``seconds``: until the first answer's end was read.
    """

    user: str
    first: int
    second: int
    marks: tuple[str, str]
    seconds: float


def request(
    user: str,
    *,
    stream: bool,
    script: Script | None = None,
    mark: str = "",
    words: str = "",
    model: str = MODEL,
    **more: object,
) -> bytes:
    """A chat completion, as it goes over the wire; ``more`` stands in its body, too."""
    messages = [{"role": "user", "content": words}] if words else []
    content = json.dumps({"model": model, "messages": messages, "stream": stream} | more).encode()
    headers = {
        "host": "gateway",
        "content-type": "application/json",
        "content-length": str(len(content)),
        names.USER_HEADER: user,
        MARK_HEADER: mark or uuid.uuid4().hex,
    } | ({SCRIPT_HEADER: script_header(script)} if script else {})
    lines = [f"POST {CHAT} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode() + content


class Wire:
    """One connection to the gateway; what was read of the answer under way is in ``got``."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._socket = socket.create_connection((parts.hostname or "", parts.port or 0), WITHIN)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.got = b""

    def send(self, message: bytes) -> None:
        """A request."""
        self.got = b""
        self._socket.sendall(message)

    def read_to_end(self) -> int:
        """Read what a client waits for: ``[DONE]``, or all of the body. Gives the status."""
        while not self._ended():
            self._read()
        return int(self.got.split(b" ", 2)[1])

    def read_until(self, mark: bytes) -> None:
        """Read until these bytes have come."""
        while mark not in self.got:
            self._read()

    def drain(self) -> None:
        """Read the rest, so that the connection can be used again."""
        while DONE in self.got and not self.got.endswith(_LAST_CHUNK):
            self._read()

    @property
    def closed(self) -> bool:
        """Whether the gateway has closed it since the last answer."""
        self._socket.settimeout(0)
        try:
            return not self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except ConnectionError:
            return True
        finally:
            self._socket.settimeout(WITHIN)

    def _ended(self) -> bool:
        head, blank, body = self.got.partition(b"\r\n\r\n")
        if not blank:
            return False
        if length := _LENGTH.search(head):
            return len(body) >= int(length[1])
        return DONE in body or self.got.endswith(_LAST_CHUNK)

    def _read(self) -> None:
        piece = self._socket.recv(65536)
        if not piece:
            raise ConnectionError(f"the gateway closed the connection after {self.got!r}")
        self.got += piece

    def close(self) -> None:
        """Leave."""
        self._socket.close()


@contextmanager
def wires(url: str, count: int) -> Iterator[list[Wire]]:
    """Connections that are closed in the end."""
    with ExitStack() as exits:
        opened = [Wire(url) for _ in range(count)]
        for wire in opened:
            exits.callback(wire.close)
        yield opened


def overtake(url: str, tries: int, *, stream: bool, script: Script | None = None) -> list[Try]:
    """As many fresh users, who each use up their limit with one answer and ask again when they have read it."""
    done = []
    with wires(url, 2) as (first, second):
        for _ in range(tries):
            user = f"user-{uuid.uuid4().hex[:12]}"
            marks = (f"{user}-1", f"{user}-2")
            one, two = (request(user, stream=stream, script=script, mark=mark) for mark in marks)
            began = time.perf_counter()
            first.send(one)
            status = first.read_to_end()
            second.send(two)
            seconds = time.perf_counter() - began
            done.append(Try(user, status, second.read_to_end(), marks, seconds))
            first.drain()
            second.drain()
    return done
