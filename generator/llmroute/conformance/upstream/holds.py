"""Named pauses: an answer waits for a name, and somebody releases it."""

from __future__ import annotations

import asyncio


class Holds:
    """A name that was released stays so; the loop's thread is the only one to touch this."""

    def __init__(self) -> None:
        self._events: dict[str, asyncio.Event] = {}

    def event(self, name: str) -> asyncio.Event:
        """The event of a name, made on first use by either side."""
        return self._events.setdefault(name, asyncio.Event())
