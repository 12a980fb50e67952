"""Answers cut in two before a real Envoy: an upstream that writes the second piece once Envoy has handled the first.

That it has, the client sees: the first piece has come. Of an answer that is rewritten nothing may come until an event is
whole; there the kernel says that Envoy has read all that was sent. All of it runs on one event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from collections.abc import AsyncIterator, Collection, Iterable
from dataclasses import dataclass, field
from typing import Final

from e2e.sockets import Sockets
from llmroute import names
from llmroute.conformance.wire import Fixture

CUT_HEADER: Final = "x-cut"
"""Which cut a request is about: its number among the cuts of the run."""
WITHIN: Final = 60.0
"""Seconds for all cuts of a run; what hangs must end."""
_LENGTH: Final = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
_NUMBER: Final = re.compile(rb"x-cut: (\d+)", re.IGNORECASE)


@dataclass(slots=True)
class Cut:
    """One answer in two pieces, and what came of it. ``user`` is nobody else's."""

    fixture: Fixture
    at: int
    user: str
    status: bytes = b""
    body: bytes = b""
    first: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once the client has as many bytes as the first piece."""

    @property
    def name(self) -> str:
        """Which one it is."""
        return f"{self.fixture.id} at {self.at}"


class Upstream:
    """Answers each request with its cut."""

    def __init__(self, sock: socket.socket, cuts: list[Cut]) -> None:
        self._sock = sock
        self._cuts = cuts
        self._sockets = Sockets()
        self._open: dict[asyncio.StreamWriter, asyncio.Task[None]] = {}

    @contextlib.asynccontextmanager
    async def serve(self) -> AsyncIterator[None]:
        """Serve until the context ends."""
        server = await asyncio.start_server(self._connection, sock=self._sock)
        try:
            yield
        finally:
            server.close()
            for writer in self._open:
                writer.close()
            await server.wait_closed()
            await _end(self._open.values())
            self._sockets.close()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task = asyncio.current_task()
        assert task
        self._open[writer] = task
        with contextlib.closing(writer):
            while head := await _head(reader):
                await reader.readexactly(_number(_LENGTH, head))
                await self._answer(self._cuts[_number(_NUMBER, head)], writer)

    async def _answer(self, cut: Cut, writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 200 OK\r\ncontent-type: {cut.fixture.content_type}\r\ntransfer-encoding: chunked\r\n\r\n"
        body = cut.fixture.answer
        writer.write(head.encode() + _chunk(body[: cut.at]))
        if _may_be_held(cut.fixture):
            while not self._sockets.read_by_peer(writer.get_extra_info("socket")):  # noqa: ASYNC110 it sets no event
                await asyncio.sleep(0)
        else:
            await cut.first.wait()
        writer.write(_chunk(body[cut.at :]) + _chunk(b""))


async def _end(tasks: Collection[asyncio.Task[None]]) -> None:
    """Let connections that were closed come to their end; what waits for a client that failed is cancelled."""
    if tasks:
        _, stuck = await asyncio.wait(tasks, timeout=1)
        for task in stuck:
            task.cancel()


def _may_be_held(fixture: Fixture) -> bool:
    """Whether the filter may keep a piece back until its event is whole."""
    return fixture.path.partition("?")[0].endswith("/completions") and "event-stream" in fixture.content_type


async def run(cuts: list[Cut], sock: socket.socket, gateway: tuple[str, int], connections: int) -> None:
    """Send every cut through the gateway and note what the client gets."""
    numbered = iter(enumerate(cuts))
    async with asyncio.timeout(WITHIN), Upstream(sock, cuts).serve(), asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(_client(numbered, gateway))


async def _client(cuts: Iterable[tuple[int, Cut]], gateway: tuple[str, int]) -> None:
    reader, writer = await asyncio.open_connection(*gateway)
    with contextlib.closing(writer):
        for number, cut in cuts:
            writer.write(_request(number, cut))
            head = await _head(reader)
            cut.status = head.split(b" ", 2)[1]
            await _receive(reader, head, cut)


def _request(number: int, cut: Cut) -> bytes:
    fixture = cut.fixture
    headers = {
        "host": "gateway",
        "content-length": str(len(fixture.request)),
        names.USER_HEADER: cut.user,
        CUT_HEADER: str(number),
    } | dict(fixture.headers)
    lines = [f"POST {fixture.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode() + fixture.request


async def _receive(reader: asyncio.StreamReader, head: bytes, cut: Cut) -> None:
    """The body of an answer, chunked or, of a refusal or an error, of a known length."""
    if found := _LENGTH.search(head):
        cut.body = await reader.readexactly(int(found[1]))
        return
    while size := int(await reader.readline(), 16):
        cut.body += await reader.readexactly(size)
        await reader.readexactly(2)
        if len(cut.body) >= cut.at:
            cut.first.set()
    await reader.readexactly(2)


async def _head(reader: asyncio.StreamReader) -> bytes:
    """A message up to its body; empty at the end of the connection."""
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""


def _number(pattern: re.Pattern[bytes], head: bytes) -> int:
    found = pattern.search(head)
    assert found, head
    return int(found[1])


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)
