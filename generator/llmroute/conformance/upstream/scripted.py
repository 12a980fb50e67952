"""``ScriptedUpstream``: the upstream in a thread of its own, for a test or a demo to command."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from llmroute.conformance.upstream.ledger import Ledger, Requests, Served
from llmroute.conformance.upstream.server import Server

_GRACE_SECONDS: Final = 0.05
"""A test that stops its upstream is done with it."""
_STOP_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class _Running:
    """What the caller's thread needs of the serving one; only ``call_soon_threadsafe`` may touch it."""

    loop: asyncio.AbstractEventLoop
    stop: asyncio.Event
    server: Server
    port: int


class ScriptedUpstream:
    """A context manager: listening inside the block, no thread and no socket after it."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """``port`` 0 takes a free one."""
        self._host = host
        self._asked_port = port
        self._ledger = Ledger()
        self._thread: threading.Thread | None = None
        self._running: _Running | None = None

    def __enter__(self) -> Self:
        """Start listening.

        Raises:
            OSError: the address cannot be listened on.
            RuntimeError: it runs already.
        """
        if self._running is not None:
            raise RuntimeError("the upstream runs already")
        ready: Future[_Running] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(ready)), name="scripted-upstream", daemon=True
        )
        self._thread.start()
        try:
            self._running = ready.result()
        except OSError:
            self._join()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, cutting answers under way."""
        if self._running is None:
            return
        running, self._running = self._running, None
        running.loop.call_soon_threadsafe(running.stop.set)
        self._join()

    def _join(self) -> None:
        """Wait for the thread's end."""
        if self._thread is not None:
            self._thread.join(_STOP_SECONDS)
            if self._thread.is_alive():
                raise RuntimeError(f"the upstream did not stop within {_STOP_SECONDS} s")

    async def _serve(self, ready: Future[_Running]) -> None:
        stop = asyncio.Event()
        server = Server(self._ledger, _GRACE_SECONDS)
        try:
            port = await server.start(self._host, self._asked_port)
        except BaseException as error:  # noqa: BLE001 - it is raised again, in the thread that asked
            ready.set_exception(error)
            return
        ready.set_result(_Running(asyncio.get_running_loop(), stop, server, port))
        await stop.wait()
        await server.stop()

    @property
    def port(self) -> int:
        """The port it listens on.

        Raises:
            RuntimeError: it does not run.
        """
        return self._up().port

    @property
    def url(self) -> str:
        """``http://HOST:PORT``, without a slash at the end."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self.port}"

    def requests(self) -> Requests:
        """What was served so far, in order of arrival; also after the block."""
        return self._ledger.requests()

    def served(self, request_id: str) -> Served | None:
        """The record of a request, by either of its ids; None if it never came."""
        return self._ledger.find(request_id)

    def seen(self, request_id: str) -> bool:
        """Whether a request of this id (``x-llmroute-request`` or ``x-request-id``) ever arrived."""
        return self.served(request_id) is not None

    def wait_for(self, predicate: Callable[[Requests], bool], timeout: float = 5.0) -> Requests:
        """The records, once the predicate holds for them.

        Raises:
            TimeoutError: it did not within ``timeout`` seconds.
        """
        return self._ledger.wait_for(predicate, timeout)

    def release(self, name: str) -> None:
        """Let every answer that holds for ``name`` go on, now and later.

        Raises:
            RuntimeError: it does not run.
        """
        running = self._up()
        running.loop.call_soon_threadsafe(lambda: running.server.holds.event(name).set())

    def _up(self) -> _Running:
        if self._running is None:
            raise RuntimeError("the upstream does not run")
        return self._running
