"""The counters of the real ratelimit service, in a Valkey of the stack's own."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import redis

from llmroute.conformance.adapters.outage import ProcessOutage
from llmroute.local.valkey import ValkeyProcess

_WITHIN: Final = 5.0
"""Seconds for an answer of a Valkey on this machine."""


class Counters:
    """Runs the Valkey while the ``with`` block lasts. ``durable``: every count is on disk, and outlives a crash."""

    def __init__(self, *, durable: bool = False) -> None:
        self._exits = contextlib.ExitStack()
        self._durable = durable
        self._valkey = ValkeyProcess()
        self._client: Any = None  # redis types its commands for both its clients, the asynchronous one too

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as exits:
            if self._durable:
                folder = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="llmroute-counters-")))
                self._valkey = ValkeyProcess(folder, persist=True)
            exits.enter_context(self._valkey)
            host, _, port = self._valkey.address.rpartition(":")
            self._client = exits.enter_context(redis.Redis(host=host, port=int(port), socket_timeout=_WITHIN))
            self._exits = exits.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exits.close()

    @property
    def address(self) -> str:
        """``host:port`` of the Valkey."""
        return self._valkey.address

    def get(self, key: str) -> int:
        """A counter by its full key; 0 where nothing was counted."""
        return int(self._client.get(key) or 0)

    def outage(self) -> ProcessOutage:
        """Of the Valkey."""
        return ProcessOutage(self._valkey)

    def reset(self) -> None:
        """Forget every count."""
        self._client.flushall()
