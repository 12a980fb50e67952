"""The counters of the real ratelimit service, in a Valkey of the stack's own."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import redis

from llmroute.local.valkey import ValkeyProcess

_WITHIN: Final = 5.0
"""Seconds for an answer of a Valkey on this machine."""


class Counters:
    """Runs the Valkey while the ``with`` block lasts; with a ``folder`` it writes every count to disk there."""

    def __init__(self, folder: Path | None = None) -> None:
        self._exits = contextlib.ExitStack()
        self._valkey = ValkeyProcess(folder, persist=folder is not None)
        self._client: Any = None  # redis types its commands for both its clients, the asynchronous one too

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as exits:
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

    def crash(self) -> None:
        """It is killed and starts again, on what is on disk."""
        os.kill(self._valkey.pid, signal.SIGKILL)
        self._valkey.stop()
        self._valkey.start()

    def reset(self) -> None:
        """Forget every count."""
        self._client.flushall()
