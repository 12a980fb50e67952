"""Gateways with a defect on purpose: in Envoy's bootstrap, in the filter's Lua, or in the limits of the service.

A defect says whether it was put in, so that one which no longer fits its place is found out.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from llmroute.conformance.adapters.local import LocalStack
from llmroute.local.gateway import RateLimitService
from llmroute.plan import Endpoint
from llmroute.render.lua import bundle, filter_source
from tests.filters.fuzz.engine import sources
from tests.filters.fuzz.mutants import Mutant, broken

Actions = list[dict[str, Any]]
"""A route's rate limit actions, as its bootstrap has them."""


@dataclass
class Change:
    """A change of every value of one ``key`` of a YAML document; ``made`` counts those that came out otherwise."""

    key: str
    change: Callable[[Any], Any]
    made: int = 0

    def __call__(self, document: str) -> str:
        """The document with the change."""
        return yaml.safe_dump(self._inside(yaml.safe_load(document)))

    def _inside(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {k: self._changed(v) if k == self.key else self._inside(v) for k, v in value.items()}
        return [self._inside(each) for each in value] if isinstance(value, list) else value

    def _changed(self, value: Any) -> Any:
        changed = self.change(value)
        self.made += changed != value
        return changed


def of_actions(change: Callable[[Actions], Actions]) -> Change:
    """A defect in what Envoy asks the service."""
    return Change("rate_limits", change)


def of_filter(*mutants: Mutant) -> Change:
    """A defect in the Lua, put into the sources and bundled as they are.

    Raises:
        LookupError: the sources no longer have a place where a part of it belongs, or have it twice.
    """
    modules: Mapping[str, str] = sources()
    for mutant in mutants:
        if modules[mutant.module].count(mutant.old) != 1:
            raise LookupError(f"filters/lua/src/{mutant.module}.lua does not have once: {mutant.old}")
        modules = broken(mutant, modules) or modules
    script, shipped = bundle(modules), filter_source()
    return Change("inline_string", lambda text: script if text == shipped else text)


class Miscounting(LocalStack):
    """The gateway with the embedded service, whose limits are others than the policy's. ``change`` is of its files."""

    def __init__(self, change: Change) -> None:
        super().__init__()
        self._change = change

    def _service(self) -> RateLimitService:
        return functools.partial(_misled, super()._service(), self._change)


@contextlib.contextmanager
def _misled(service: RateLimitService, change: Change, files: list[Path], directory: Path) -> Iterator[Endpoint]:
    for file in files:
        file.write_text(change(file.read_text(encoding="utf-8")), encoding="utf-8")
    with service(files, directory) as address:
        yield address
