"""Gateways with a defect on purpose: in Envoy's bootstrap, in the filter's Lua, or in the limits of the service.

A defect says whether it was put in, so that one which no longer fits its place is found out. ``DEFECTS`` has all, with
the cases of the conformance suite that each turns red.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

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


COUNTER: Final = "limit 1 has counted of {user}"
REACHED: Final = "reached the upstream"
ADMITTED: Final = frozenset({"status", REACHED})
CHARGED: Final = frozenset({COUNTER})


def charges(action: dict[str, Any]) -> bool:
    """Whether it is a charge after the answer: a check comes before it."""
    return bool(action.get("apply_on_stream_done"))


def twice(actions: Actions) -> Actions:
    """Every charge is made twice."""
    return [each for action in actions for each in ([action, action] if charges(action) else [action])]


def never(actions: Actions) -> Actions:
    """No charge is made."""
    return [action for action in actions if not charges(action)]


def unchecked(actions: Actions) -> Actions:
    """Nothing is asked before a request."""
    return [action for action in actions if charges(action)]


class Defect(NamedTuple):
    """What is wrong, the cases that find it, what differs in each of them, and cases that have nothing to do with it.

    ``stack`` makes the gateway of the change.
    """

    name: str
    change: Callable[[], Change]
    red: tuple[str, ...]
    differs: frozenset[str]
    green: tuple[str, ...]
    stack: Callable[[Change], LocalStack] = LocalStack

    def made(self) -> tuple[Change, LocalStack]:
        """The change, and a gateway that has it.

        Raises:
            LookupError: the filter no longer has the place of the change.
        """
        change = self.change()
        return change, self.stack(change)


DEFECTS: Final = (
    Defect(
        "charged-twice",
        lambda: of_actions(twice),
        ("exact-quantity", "stream-asked", "reported-no-total"),
        CHARGED,
        ("quantity-of-0", "HE-03"),
    ),
    Defect(
        "never-charged",
        lambda: of_actions(never),
        ("exact-quantity", "stream-asked", "leaves-after-usage"),
        CHARGED,
        ("quantity-of-0", "HE-03"),
    ),
    Defect(
        "never-checked",
        lambda: of_actions(unchecked),
        ("exact-quantity", "model-repeated", "refused-stream"),
        ADMITTED,
        ("stream-asked", "HE-03"),
    ),
    Defect(
        "charge-plus-one",
        lambda: of_filter(
            Mutant(
                "meter", 'put(self, out, "total_tokens", now.total)', 'put(self, out, "total_tokens", now.total + 1)'
            )
        ),
        ("exact-quantity", "stream-asked", "reported-zero", "anthropic-json"),
        CHARGED,
        ("WS-12-Completion", "AG-02", "quantity-of-0", "HE-03"),
    ),
    Defect(
        # Each piece is read when the next one comes, and nothing comes after the last. Pieces of these streams
        # come one by one, as the upstream waits for the client between them.
        "last-chunk-dropped",
        lambda: of_filter(
            Mutant(
                "response",
                "    out = sse.push(self.stream, body, self.sink)\n",
                "    out, self.late = self.late and sse.push(self.stream, self.late, self.sink), body\n",
            )
        ),
        ("first-byte", "cut-in-usage", "leaves-after-usage", "breaks-after-usage"),
        CHARGED,
        ("exact-quantity", "long-answer", "KU-19-stream", "W-02"),
    ),
    Defect(
        "client-model-trusted",
        lambda: of_filter(
            Mutant("filter", '  guard(handle, header.set, headers, route.model_header, "unknown")\n', ""),
            Mutant(
                "filter",
                "header.set(headers, route.model_header, model)",
                "header.settle(headers, route.model_header, model)",
            ),
        ),
        ("model-header", "model-header-in-capitals"),
        ADMITTED,
        ("exact-quantity", "model-repeated", "unreadable-no-json", "user-twice"),
    ),
    Defect(
        "errors-charged",
        lambda: of_filter(
            Mutant("response", "if status < 200 or status > 299 or known.unmetered then", "if known.unmetered then")
        ),
        ("upstream-400", "upstream-404", "upstream-429", "upstream-500"),
        CHARGED,
        ("exact-quantity", "errors-are-requests", "reading-GET", "stream-asked"),
    ),
    Defect(
        "disconnects-forgotten",
        lambda: of_filter(Mutant("meter", 'if self.policy.onDisconnect == "Free" or', "if true or")),
        ("leaves-after-1", "leaves-after-2", "leaves-after-usage", "leaves-after-unseen-usage"),
        CHARGED,
        ("exact-quantity", "stream-asked", "leaves-free", "upstream-500"),
    ),
    Defect(
        "admits-at-limit",
        lambda: Change("requests_per_unit", lambda limit: limit + 1),
        ("admits-below", "quantity-of-0", "no-requests", "model-repeated"),
        ADMITTED,
        ("stream-asked", "reported-no-total", "leaves-after-1", "HE-03"),
        Miscounting,
    ),
)
