"""What the upstream served: one record per request, from its arrival on, and a way to wait for more."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

MARK_HEADER: Final = "x-llmroute-request"
"""A request id that is ours: a proxy may write its own ``x-request-id``."""

Requests = tuple["Served", ...]


@dataclass(frozen=True, slots=True)
class Served:
    """One request and how far its answer has come.

    ``path`` has its query. ``headers`` are as received, in order, names as they were spelt. ``body`` is
    raw, empty until it has all arrived. ``status`` is None until an answer has begun. ``usage`` is what a
    default or a scripted JSON answer reported, once it was written. ``chunks`` counts the pieces written
    (a JSON body is one). ``holding`` names what the answer waits for. ``disconnected``: the other side
    left before the end. ``broken``: the script cut the connection. ``finished``: nothing more happens.
    """

    number: int
    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""
    status: int | None = None
    usage: Mapping[str, Any] | None = None
    chunks: int = 0
    holding: str | None = None
    disconnected: bool = False
    broken: bool = False
    finished: bool = False

    def header(self, name: str) -> str | None:
        """The last value of a header, or None."""
        return next((value for key, value in reversed(self.headers) if key.lower() == name.lower()), None)

    @property
    def ids(self) -> tuple[str | None, str | None]:
        """``x-llmroute-request`` and ``x-request-id``."""
        return self.header(MARK_HEADER), self.header("x-request-id")


class Ledger:
    """The records, in order of arrival. Safe to use from any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._served: list[Served] = []

    def open(self, method: str, path: str, headers: tuple[tuple[str, str], ...]) -> int:
        """Enter a request; the number is its handle for ``update``."""
        with self._changed:
            self._served.append(Served(len(self._served), method, path, headers))
            self._changed.notify_all()
            return len(self._served) - 1

    def update(self, number: int, **changes: Any) -> None:
        """Replace fields of a record."""
        with self._changed:
            self._served[number] = replace(self._served[number], **changes)
            self._changed.notify_all()

    def requests(self) -> Requests:
        """All records as they are now."""
        with self._changed:
            return tuple(self._served)

    def find(self, request_id: str) -> Served | None:
        """The record of a request, by either of its ids; None if it never came."""
        return next((served for served in self.requests() if request_id in served.ids), None)

    def wait_for(self, predicate: Callable[[Requests], bool], timeout: float) -> Requests:
        """The records, once the predicate holds for them.

        Raises:
            TimeoutError: it did not within ``timeout`` seconds; the message lists the records.
        """
        with self._changed:
            if self._changed.wait_for(lambda: predicate(tuple(self._served)), timeout):
                return tuple(self._served)
            seen = "\n".join(f"  {served}" for served in self._served) or "  (none)"
        raise TimeoutError(f"the upstream did not get there within {timeout} s; it served:\n{seen}")
