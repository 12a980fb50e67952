"""How a command that serves is told to stop: by Ctrl-C or SIGTERM."""

from __future__ import annotations

import queue
import signal


class Stop:
    """Set by the first of either signal, wherever the command is.

    A handler runs between two steps of the main thread. ``threading.Event`` has a lock that this thread holds for a
    moment when it begins to wait: set by a signal in that moment, it would wait for itself, for good. A
    ``SimpleQueue`` may be put into while it is being asked.
    """

    def __init__(self) -> None:
        self._signals = queue.SimpleQueue[int]()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda got, _: self._signals.put(got))

    def is_set(self) -> bool:
        """Whether a signal has come that no ``wait`` has seen."""
        return not self._signals.empty()

    def wait(self, seconds: float) -> bool:
        """Wait for a signal, for so long at most: whether one has come."""
        try:
            self._signals.get(timeout=seconds)
        except queue.Empty:
            return False
        return True
