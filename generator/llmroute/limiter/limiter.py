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
from llmroute.limiter.window import Clock, Unit, until_reset, window_start

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

    A ``hold`` makes its call all or nothing: when any descriptor is over, no counter of the call moves.
    ``held_at`` (Unix seconds) says when the hits to be given back were counted: where another window runs
    by now, they are no part of it and nothing is given back.
    """

    entries: tuple[Entry, ...]
    hits_addend: int | None = None
    is_negative_hits: bool = False
    override: Rate | None = None
    hold: bool = False
    held_at: int | None = None


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
    """The answer to a call: over the limit when any status is. One status per descriptor, in order.

    ``held_at``: when the call's holds were counted, in Unix seconds; None when there are none.
    """

    code: Code
    statuses: tuple[Status, ...]
    held_at: int | None = None


@dataclass(frozen=True, slots=True)
class _Asked:
    """One descriptor of a call, its limit, and what it adds to the counter: below zero for a refund."""

    descriptor: Descriptor
    limit: Limit | None
    hits: int


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
        moves, also when another one is over, unless a descriptor is a hold. A domain or descriptor without a
        limit is OK.

        Raises:
            RequestError: for an empty domain, no descriptors, or hits that no counter can hold.
        """
        if not domain:
            raise RequestError("rate limit domain must not be empty")
        if not descriptors:
            raise RequestError("rate limit descriptor list must not be empty")
        asked = [self._asked(domain, descriptor, hits_addend) for descriptor in descriptors]
        holds = any(descriptor.hold for descriptor in descriptors)
        with self._lock:
            now = self._clock()
            self._forget(now)
            before = self._counts(domain, asked, now) if holds else []
            statuses = tuple(self._hit(domain, each, each.hits, now) for each in asked)
            code = max(status.code for status in statuses)
            if holds and code is Code.OVER_LIMIT:
                for window, key, count in before:
                    window[key] = count
                # What is said of the others is said of counters that have not moved.
                statuses = tuple(
                    status if status.code is Code.OVER_LIMIT else self._hit(domain, each, 0, now)
                    for status, each in zip(statuses, asked, strict=True)
                )
            return Decision(code, statuses, int(now) if holds and code is Code.OK else None)

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

    def _asked(self, domain: str, descriptor: Descriptor, hits_addend: int) -> _Asked:
        hits = max(1, hits_addend) if descriptor.hits_addend is None else descriptor.hits_addend
        if not 0 <= hits <= MAX_COUNT:
            raise RequestError(f"hits must be between 0 and {MAX_COUNT}")
        return _Asked(descriptor, self._limit(domain, descriptor), -hits if descriptor.is_negative_hits else hits)

    def _counts(self, domain: str, asked: Iterable[_Asked], now: float) -> list[tuple[dict[str, int], str, int]]:
        """The windows and counters of a call, and what they say."""
        rated = [(each.descriptor, each.limit.rate.unit) for each in asked if each.limit and each.limit.rate]
        found = [self._counter(domain, descriptor, unit, now) for descriptor, unit in rated]
        return [(window, key, window.get(key, 0)) for window, key in found]

    def _counter(self, domain: str, descriptor: Descriptor, unit: Unit, now: float) -> tuple[dict[str, int], str]:
        start = window_start(unit, now)
        return self._windows.setdefault(start + unit.seconds, {}), counter_key(domain, descriptor.entries, start)

    def _hit(self, domain: str, asked: _Asked, hits: int, now: float) -> Status:
        descriptor, limit = asked.descriptor, asked.limit
        if limit is None:
            return Status(Code.OK)
        rate = limit.rate
        if rate is None:
            return Status(Code.OK, remaining=NO_LIMIT_REMAINING)
        held_at = descriptor.held_at
        if held_at is not None and window_start(rate.unit, held_at) != window_start(rate.unit, now):
            hits = 0
        window, key = self._counter(domain, descriptor, rate.unit, now)
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
