"""``maxInFlight``: what must not bind before it does."""

from __future__ import annotations

from typing import Final

_AT_LEAST: Final = 1024
"""Envoy's own bound on connections and on requests that wait for one."""


def others(most: int) -> int:
    """The bound on connections (HTTP/1.1 takes one for each request) and on waiting requests beside ``most``."""
    return max(most, _AT_LEAST)
