"""The filter on one engine, and cases for it. A Lua engine runs a batch of them in one call."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from llmroute import names
from llmroute.render.lua import JSON, MODULES, bundle
from tests.filters.lua_engine import handed

HERE: Final = Path(__file__).parent
SOURCES: Final = HERE.parents[2] / "filters" / "lua" / "src"

HOLD: Final[dict[str, Any]] = {
    "paid": "paid_1",
    "due": "due_1",
    "refund": "refund_1",
    "key": "total_tokens",
    "scale": 2,
    "prompt": 1,
    "completion": 3,
}
"""A limit that holds what a request may take: half a token for one of its prompt, one and a half for one of its answer."""
POLICIES: Final[tuple[dict[str, Any], ...]] = (
    {},
    {"usage": {"onMissing": "Free"}},
    {"usage": {"onMissing": "Fixed", "fixedTokens": 77, "includeUsage": "Keep"}},
    {"usage": {"onMissing": "Estimate", "onDisconnect": "Free", "includeUsage": "Force"}},
    {"maxTokens": 1000, "bodyLimit": 600, "holds": [HOLD]},
    {"maxTokens": 7, "usage": {"includeUsage": "Keep"}, "holds": [HOLD]},
)
"""What routes tell the filter; a case names one by its index."""
KEYS: Final = (
    *("total_tokens", "prompt_tokens", "completion_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens"),
    *("no_cost", "model", "usage_source", "prompt_estimate", "forced_usage", "unmetered", "unestimated"),
    *("filter_error", "paid_1", "refund_1"),
)
"""What is looked at of the metadata."""


class Outcome(NamedTuple):
    """What came of one case: bytes that went on, metadata at the end and after the watched piece, headers, logs."""

    body: bytes
    metadata: str
    middle: str
    headers: str
    logs: str


@dataclass(frozen=True, slots=True)
class Case:
    """One message through the filter."""

    target: str
    entry: str
    """``request`` or ``answer``."""
    pieces: tuple[bytes, ...]
    headers: tuple[tuple[str, str], ...]
    known: Mapping[str, JSON] = field(default_factory=dict)
    """The metadata before it."""
    policy: int = 0
    watched: int = 0
    """The piece, counted from 1, after which the metadata is looked at; 0 for none."""

    @property
    def body(self) -> bytes:
        """All bytes of it."""
        return b"".join(self.pieces)

    @property
    def context(self) -> dict[str, Any]:
        """What the route says."""
        return POLICIES[self.policy]

    def cut(self, *pieces: bytes, watched: int = 0) -> Case:
        """The same message in other pieces."""
        return replace(self, pieces=pieces, watched=watched)


def sources() -> dict[str, str]:
    """The modules of the filter as they are in the checkout."""
    return {name: (SOURCES / f"{name}.lua").read_text("utf-8") for name in MODULES}


class Fuzzed(Protocol):
    """The filter in an engine of its own."""

    def takes(self, case: Case) -> bool:
        """Whether the engine can be brought to the state that the case begins with."""
        ...

    def run(self, cases: Sequence[Case]) -> list[Outcome]:
        """What comes of each."""
        ...


class FuzzedLua:
    """The Lua, loaded from its sources."""

    def __init__(self, engine: str, modules: Mapping[str, str] | None = None) -> None:
        self.lua = importlib.import_module(f"lupa.{engine}").LuaRuntime(encoding=None)
        fake = self.lua.execute((HERE.parent / "fake.lua").read_bytes())
        self.lua.execute(bundle(modules or sources()).encode())
        contexts = self.lua.table_from([self.lua.eval(handed({"version": 1, **policy})) for policy in POLICIES])
        driver = self.lua.execute((HERE / "driver.lua").read_bytes())
        entries = self.lua.globals()
        keys = self.lua.table_from([key.encode() for key in KEYS])
        self._run = driver(fake, keys, contexts, entries[b"envoy_on_request"], entries[b"envoy_on_response"])

    def takes(self, case: Case) -> bool:  # noqa: ARG002 as the protocol has it
        """Any: what is known is put there."""
        return True

    def run(self, cases: Sequence[Case]) -> list[Outcome]:
        """What comes of each."""
        flat: list[Any] = []
        for case in cases:
            flat += (case.entry.encode(), case.policy + 1, len(case.known))
            for key, value in case.known.items():
                flat += (key.encode(), value.encode() if isinstance(value, str) else value)
            flat.append(len(case.headers))
            for name, text in case.headers:
                flat += (name.encode(), text.encode("utf-8", "surrogateescape"))
            flat += (len(case.pieces), *case.pieces, case.watched)
        out = list(self._run(self.lua.table_from(flat)).values())
        return [
            Outcome(out[at], *(text.decode("utf-8", "surrogateescape") for text in out[at + 1 : at + 5]))
            for at in range(0, len(out), 5)
        ]


def metadata(text: str) -> dict[str, str]:
    """What the driver said of the metadata."""
    return dict(line.split("=", 1) for line in text.split("\n") if line)


def header(outcome: Outcome, name: str = names.MODEL_HEADER) -> list[str]:
    """The values of a header as it went on."""
    return re.findall(rf"^{re.escape(name)}: (.*)$", outcome.headers, re.MULTILINE)
