"""Fixed-window counting with the semantics of envoyproxy/ratelimit, in memory and with an injected clock.

Reproduces what that service does at revision 3fb702589d36 with its defaults (no local cache, counters
go on past the limit); ``tests/properties/test_real_equality.py`` holds the two against each other.
"""

from __future__ import annotations

import enum
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from llmroute.limiter.config import Domain, Entry, Limit, Rate, domains_of, find_limit
from llmroute.limiter.window import Clock, until_reset, window_start

MAX_COUNT: Final = 2**63 - 1
"""Where counting stops: the highest value of a counter in Redis."""
NO_LIMIT_REMAINING: Final = 2**32 - 1
"""``remaining`` of an unlimited descriptor."""


class RequestError(ValueError):
    """A call that the service answers with an error instead of a decision; nothing was counted."""


class Code(enum.IntEnum):
    """Numbers of ``RateLimitResponse.Code`` on the wire."""

    OK = 1
    OVER_LIMIT = 2


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a call asks about: key-value entries in order, and what to add to their counter.

    ``hits_addend`` None means the call's own, 0 asks without counting. With ``is_negative_hits`` the
    hits are given back; the counter stops at 0. ``override`` takes the place of the configured rate.
    """

    entries: tuple[Entry, ...]
    hits_addend: int | None = None
    is_negative_hits: bool = False
    override: Rate | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """The answer for one descriptor. Without a limit it is OK, with 0 remaining and no reset.

    ``remaining`` is in hits and 0 when over the limit; ``reset`` in seconds until the next window.
    """

    code: Code
    limit: Rate | None = None
    remaining: int = 0
    reset: int | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to a call: over the limit when any status is. One status per descriptor, in order."""

    code: Code
    statuses: tuple[Status, ...]


class Limiter:
    """Counts hits in fixed windows and says when there are more than the limit. Safe among threads.

    A window is forgotten when it ends, so memory holds what the running windows have seen. A clock that
    is set back over the border of a window therefore finds that window empty.
    """

    def __init__(self, domains: Iterable[Domain], clock: Clock) -> None:
        self._domains = domains_of(domains)
        self._clock = clock
        self._lock = threading.Lock()
        self._windows: dict[int, dict[str, int]] = {}  # by the second in which they end

    def should_rate_limit(self, domain: str, descriptors: Sequence[Descriptor], hits_addend: int = 0) -> Decision:
        """Add the hits of every descriptor to its counter, then tell which counters are over their limit.

        ``hits_addend`` is for descriptors that bring none of their own; 0 there means 1. Every counter
        moves, also when another one is over. A domain or descriptor without a limit is OK.

        Raises:
            RequestError: for an empty domain, no descriptors, or hits that no counter can hold.
        """
        if not domain:
            raise RequestError("rate limit domain must not be empty")
        if not descriptors:
            raise RequestError("rate limit descriptor list must not be empty")
        limits = [self._limit(domain, descriptor) for descriptor in descriptors]
        hits = [max(1, hits_addend) if d.hits_addend is None else d.hits_addend for d in descriptors]
        if any(not 0 <= n <= MAX_COUNT for n in hits):
            raise RequestError(f"hits must be between 0 and {MAX_COUNT}")
        with self._lock:
            now = self._clock()
            self._forget(now)
            statuses = tuple(
                self._hit(domain, descriptor, limit, -n if descriptor.is_negative_hits else n, now)
                for descriptor, limit, n in zip(descriptors, limits, hits, strict=True)
            )
        return Decision(max(status.code for status in statuses), statuses)

    def counters(self) -> Mapping[str, int]:
        """Counts of the running windows, by the key that they have in Redis.

        The key is ``<domain>_<key>_<value>_…_<start of the window in Unix seconds>``. A counter that has
        only been asked about is there too, with 0.
        """
        with self._lock:
            self._forget(self._clock())
            return {key: count for window in self._windows.values() for key, count in window.items()}

    def reset(self) -> None:
        """Forget every count."""
        with self._lock:
            self._windows.clear()

    def _limit(self, domain: str, descriptor: Descriptor) -> Limit | None:
        known = self._domains.get(domain)
        if known is None:
            return None
        if descriptor.override is not None:
            return Limit(descriptor.override)
        return find_limit(known, descriptor.entries)

    def _hit(self, domain: str, descriptor: Descriptor, limit: Limit | None, hits: int, now: float) -> Status:
        if limit is None:
            return Status(Code.OK)
        rate = limit.rate
        if rate is None:
            return Status(Code.OK, remaining=NO_LIMIT_REMAINING)
        start = window_start(rate.unit, now)
        window = self._windows.setdefault(start + rate.unit.seconds, {})
        key = counter_key(domain, descriptor.entries, start)
        count = window[key] = min(max(0, window.get(key, 0) + hits), MAX_COUNT)
        over = count > rate.requests_per_unit
        return Status(
            Code.OVER_LIMIT if over and not limit.shadow else Code.OK,
            rate,
            0 if over else rate.requests_per_unit - count,
            until_reset(rate.unit, now),
        )

    def _forget(self, now: float) -> None:
        for end in [end for end in self._windows if end <= now]:
            del self._windows[end]


def counter_key(domain: str, entries: Iterable[Entry], start: int) -> str:
    """Key of a counter in Redis, for the window that starts at ``start`` (Unix seconds)."""
    return "_".join([domain, *(part for entry in entries for part in entry), str(start)])
