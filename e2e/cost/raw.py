"""Everything that a run has measured, as it is kept in ``docs/performance/raw.json``."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

_DIGITS = 4
"""Significant ones of a figure; the machine is not as exact."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One load, driven once through one gateway.

    ``rate`` is in requests a second; ``latency`` and ``first`` (until the first byte of a body) are milliseconds by quantile;
    ``cpu`` is in CPU seconds for 1,000 requests, by part; ``calls`` of the rate limit service, ``commands`` of Redis and
    ``reads`` that brought them are for one request.
    """

    gateway: str
    load: str
    requests: int
    rate: float
    latency: Mapping[str, float]
    first: Mapping[str, float]
    cpu: Mapping[str, float]
    calls: float
    commands: float
    reads: float


@dataclass(frozen=True, slots=True)
class Memory:
    """MiB of a proxy that has just started: before any request, and while ``streams`` are open."""

    gateway: str
    streams: int
    at_rest: float
    holding: float


@dataclass(frozen=True, slots=True)
class Compilation:
    """``llmroute generate`` in a process of its own: seconds from its start to its end, CPU seconds, and MiB at the most."""

    routes: int
    seconds: float
    cpu: float
    mib: float


@dataclass(frozen=True, slots=True)
class Raw:
    """A whole run. ``ground``: what it ran on, in words; ``beside``: of all CPU time, the share that others had."""

    ground: str
    beside: float
    samples: Sequence[Sample]
    memory: Sequence[Memory]
    compilations: Sequence[Compilation]

    def dump(self) -> str:
        """As JSON, a line for each measurement."""
        values = _rounded(dataclasses.asdict(self))
        fields = (f'"{name}": {_lines(value)}' for name, value in values.items())
        return "{\n" + ",\n".join(fields) + "\n}\n"

    @classmethod
    def load(cls, text: str) -> Self:
        """From what ``dump`` wrote."""
        values = json.loads(text)
        return cls(
            values["ground"],
            values["beside"],
            tuple(Sample(**each) for each in values["samples"]),
            tuple(Memory(**each) for each in values["memory"]),
            tuple(Compilation(**each) for each in values["compilations"]),
        )

    def of(self, gateway: str, load: str) -> Iterator[Sample]:
        """The samples of one load on one gateway, by repetition."""
        return (each for each in self.samples if (each.gateway, each.load) == (gateway, load))

    def gateways(self) -> list[str]:
        """Names of all that were measured, in the order of the table."""
        return list(dict.fromkeys(each.gateway for each in self.samples))

    def loads(self) -> list[str]:
        """Names of all loads, in the order in which they were driven."""
        return list(dict.fromkeys(each.load for each in self.samples))


def _lines(value: Any) -> str:
    if not isinstance(value, list | tuple):
        return json.dumps(value)
    return "[\n" + ",\n".join(json.dumps(each, separators=(",", ":")) for each in value) + "\n]"


def _rounded(value: Any) -> Any:
    match value:
        case float():
            return float(f"{value:.{_DIGITS}g}")
        case dict():
            return {key: _rounded(item) for key, item in value.items()}
        case list() | tuple():
            return [_rounded(item) for item in value]
    return value
