"""What each target can do, as a table. Emitters and checks ask it; nobody compares versions."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Final

from llmroute.plan import Unit

LUA: Final = "lua"
WASM: Final = "wasm"
ENGINES: Final = (LUA, WASM)
"""What the filter runs on: a script, or a module of the same contract."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """One row. ``max_*`` are the target's own bounds.

    ``version`` is what it is for, ``proven`` the release that the tests run.
    ``one_listener``: all routes of the input share one listener, whatever gateways they name.
    ``needs_addresses``: the output names hosts and ports, not references to other resources; keys, not Secrets.
    ``selects_backend``: a limit of one of several backends spends a selector on that backend's name.
    ``counts_by_place``: a limit's counter is known by its place among the limits, not by what it counts.
    ``known_counters``: what the target calls the counters is known, so that the filter can charge them itself.
    ``engine``: what the filter is to run on. ``silent_engines``: those of which the proxy cannot read what an answer
    costs, so that the filter has to charge it itself.
    ``module_url``: where the target gets the module from, if it runs that and has to get it.
    ``refunds``: the rate limit service can give back what it has counted.
    """

    target: str
    version: str
    proven: str
    units: frozenset[Unit]
    max_rules: int
    max_selectors: int
    one_listener: bool
    needs_addresses: bool
    selects_backend: bool
    counts_by_place: bool
    engine: str = LUA
    silent_engines: frozenset[str] = frozenset()
    module_url: str | None = None
    refunds: bool = False
    known_counters: bool = True

    @property
    def filter_charges(self) -> bool:
        """Whether the filter charges every answer itself."""
        return self.engine in self.silent_engines


ENVOY_GATEWAY: Final = "envoy-gateway"
ENVOY: Final = "envoy"
COMPOSE: Final = "compose"
TARGETS: Final = (ENVOY_GATEWAY, ENVOY, COMPOSE)
EG_VERSIONS: Final = ("1.9",)
"""Envoy Gateway minor versions with a row below. 1.8.0 and 1.8.1 lose the cost of shared rules (PLATFORM 2.2)."""

_PLAIN: Final = Capabilities(
    target=ENVOY,
    version="1.39",
    proven="1.39.1",
    units=frozenset(Unit),
    max_rules=256,
    max_selectors=16,
    one_listener=True,
    needs_addresses=True,
    selects_backend=False,
    counts_by_place=False,
)
_ROWS: Final = (
    Capabilities(
        target=ENVOY_GATEWAY,
        version="1.9",
        proven="1.9.1",
        units=frozenset(Unit),
        max_rules=256,
        max_selectors=16,
        one_listener=False,
        needs_addresses=False,
        selects_backend=True,
        counts_by_place=True,
        silent_engines=frozenset({WASM}),
    ),
    _PLAIN,
    dataclasses.replace(_PLAIN, target=COMPOSE),
)


def capabilities(
    target: str, version: str | None = None, engine: str = LUA, module_url: str | None = None
) -> Capabilities:
    """The row of ``target``, to run on ``engine``; of its newest proven version when none is given.

    KeyError if there is none.
    """
    for row in reversed(_ROWS):
        if row.target == target and version in {None, row.version}:
            return dataclasses.replace(row, engine=engine, module_url=module_url)
    raise KeyError(f"{target} {version}")
