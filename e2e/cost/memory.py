"""Memory of a proxy: at rest, and with streams open."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from e2e.cost.gateways import PROXY, Row, Site
from e2e.cost.load import holding
from e2e.cost.raw import Memory
from tools.proc import resident_mib


def memory(site: Site, rows: Sequence[Row], streams: int, repetitions: int) -> Iterator[Memory]:
    """Start each gateway anew, by turns, ask it nothing, then hold ``streams`` of it.

    Raises:
        DriveError: the streams cannot be opened.
    """
    for repetition in range(repetitions):
        for row in rows:
            with row.start(site) as gateway:
                at_rest = resident_mib(gateway.parts[PROXY])
                with holding(gateway.url, streams, f"{row.name}-held-{repetition}"):
                    yield Memory(row.name, streams, at_rest, resident_mib(gateway.parts[PROXY]))
