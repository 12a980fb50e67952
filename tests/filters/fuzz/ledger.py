"""What an answer costs, event by event: the oracle's meter, from the contract of the filter."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tests.filters.fuzz.numbers import Fields, Numbers, cap, fields, read
from tests.filters.fuzz.tree import Member, last, solid, whole

KNOWN: Final = frozenset(
    (
        *("choices", "candidates", "delta", "type", "done", "usage", "usageMetadata", "meta", "error", "role"),
        *("stopReason", "contentBlockIndex", "start"),
    )
)
"""An event with none of these members is of no API."""


def is_list(text: str, member: Member | None) -> bool:
    """Is the member there, and a list?"""
    return member is not None and text[member.value] == "["


def is_empty(text: str, member: Member) -> bool:
    """Is the list or object empty?"""
    return text[solid(text, member.value + 1)] in "]}"


def is_delta(text: str, outer: Mapping[str, Member]) -> bool:
    """Is the event a piece of an answer?"""
    for name in ("choices", "candidates"):
        if is_list(text, outer.get(name)):
            return not is_empty(text, outer[name])
    if "delta" in outer and text[outer["delta"].value] in '"{':
        kind = outer.get("type")
        name = text[kind.value : kind.stop].strip('"') if kind and text[kind.value] == '"' else "delta"
        if name.endswith("delta") and name != "message_delta":
            return True
    return "done" in outer and text[outer["done"].value] == "f"


@dataclass(slots=True)
class Ledger:
    """The account of one answer."""

    context: Mapping[str, Any]
    known: Mapping[str, Any]
    streamed: bool = False
    size: int = 0
    deltas: int = 0
    weight: int = 0
    base: Fields | None = None
    """What a first report said, and what overrode it."""
    begun: Numbers | None = None
    reported: Numbers | None = None
    heard: int = field(default=0)

    def delta(self) -> None:
        """One token of a stream."""
        self.deltas += 1
        self.streamed = True

    def report(self, found: Fields | None) -> None:
        """Numbers that count, unless there are none."""
        if found:
            self.heard += 1
            self.base = None if self.base is None else self.base | found
            self.reported = read(self.base or found)

    def event(self, text: str) -> dict[str, Member] | None:
        """One event; gives its members when it is an object."""
        at = whole(text)
        if at is None:
            return None
        outer = last(text, at)
        if KNOWN.isdisjoint(outer):
            self.weight += math.ceil(len(text) / 4)
            return outer
        delta = is_delta(text, outer)
        if delta:
            self.delta()
        self.usage(text, at, outer, delta=delta)
        return outer

    def usage(self, text: str, at: int, outer: Mapping[str, Member], *, delta: bool) -> None:
        """What an event reports."""
        place = outer.get("usage") or outer.get("usageMetadata")
        found = fields(text, place.value) if place else None
        if not found and "type" in outer and (base := _inside(text, outer.get("message"))):
            self.heard += 1
            self.base, self.begun = base, read(base)
            return
        found = found or _inside(text, outer.get("response"))
        found = found or (None if delta else _inside(text, outer.get("delta")))
        if not found and "meta" in outer:
            found = fields(text, outer["meta"].value, wrapped=True)
        if not found and "done" in outer and text[outer["done"].value] == "t":
            found = fields(text, at)
        self.report(found)

    def estimate(self) -> Numbers:
        """What it costs as far as is known."""
        seen = self.deltas + self.weight if self.streamed else math.ceil(self.size / 4)
        base = self.begun or Numbers(prompt=self.known.get("prompt_estimate", 0))
        answered = cap(max(base.completion, seen))
        total = cap(base.prompt + answered)
        return Numbers(base.prompt, answered, total, base.cached, base.cache_write, base.reasoning)

    def now(self) -> tuple[Numbers, str]:
        """What is charged when the client leaves now."""
        free = self.context.get("usage", {}).get("onDisconnect") == "Free"
        if free or (not self.reported and self.known.get("unestimated")):
            return Numbers(), "none"
        return (self.reported, "reported") if self.reported else (self.estimate(), "estimated")

    def due(self) -> tuple[Numbers, str]:
        """What is charged for the complete answer."""
        usage = self.context.get("usage", {})
        missing = usage.get("onMissing", "Estimate")
        if self.reported:
            return self.reported, "reported"
        if self.known.get("unestimated") or missing == "Free":
            return Numbers(), "none"
        if missing == "Fixed":
            return Numbers(*[usage["fixedTokens"]] * 3), "fixed"
        return self.estimate(), "estimated"


def _inside(text: str, member: Member | None) -> Fields | None:
    inner = last(text, member.value).get("usage") if member else None
    return fields(text, inner.value) if inner else None
