"""Breaks the Lua on purpose, one fault at a time: what the fuzzer does not find so, it would not find at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from tests.filters.fuzz.engine import FuzzedLua, sources
from tests.filters.fuzz.run import hunt

WITHIN: Final = 20_000
"""Cases in which a fault has to be found."""


class Mutant(NamedTuple):
    """A fault: in a module, what gives way to what."""

    module: str
    old: str
    new: str
    quick: bool = False
    """It is found soon enough for every run of the tests."""


MUTANTS: Final = (
    Mutant("json", "local from = odd and at + 1 or at", "local from = at"),
    Mutant("json", "local escaped = (stop - run) % 2 == 0", "local escaped = byte(body, stop - 1) == 92"),
    Mutant("json", "(byte(body, first) == 48 and stop > first)", "false"),
    Mutant("json", '"^[eE][+-]?%d+"', '"^[eE]-?%d+"'),
    Mutant(
        "json",
        "return at, depth\n    elseif",
        "return at, depth\n    elseif c == 93 and objects[depth] then\n      at = at\n    elseif",
    ),
    Mutant("text", "code >= 55296 and code < 56320", "code >= 55296 and code < 56319"),
    Mutant("text", 'if not find(json, "^%x%x%x%x", at + 2) then', 'if not find(json, "^%x%x%x", at + 2) then'),
    Mutant("text", "low = c == 224 and 160 or low", "low = c == 224 and 161 or low"),
    Mutant("text", 'at = find(json, "\\\\", at + 2, true)', 'at = find(json, "\\\\", at + 3, true)'),
    Mutant("usage", '"cache_creation_input_tokens", "cache_read_input_tokens"', '"cache_read_input_tokens"'),
    Mutant("usage", '"candidatesTokenCount", "thoughtsTokenCount"', '"candidatesTokenCount"'),
    Mutant("usage", "value < MAX_CHARGE and value or MAX_CHARGE", "value", quick=True),
    Mutant("usage", "return ceil(clamp(value)) + 0", "return clamp(value) + 0"),
    Mutant("document", "state.odd = odd\n    return", "return"),
    Mutant("document", "above == 2 and object and CARRIERS", "object and CARRIERS"),
    Mutant("document", "elseif c == 58 then\n    state.key = false", "elseif c == 58 then"),
    Mutant("sse", 'state.cr = kept and "kept" or "cut"', 'state.cr = "kept"'),
    Mutant("sse", "if idle and byte(line, start) == 58 then", "if false then"),
    Mutant("sse", "emit_all(out, state.raw, state.line + 1, #state.raw)", ""),
    Mutant("oversize", "byte(line, start + 5) == 32", "byte(line, start + 5) ~= 32"),
    Mutant("oversize", 'piece = value and "\\n" .. sub(piece, value)', "piece = value and sub(piece, value + 1)"),
    Mutant("echo", "if escape and escape < quote then", "if false then", quick=True),
    Mutant("echo", "if not quote or sub(data, quote) ~= self.tail then", "if not quote then"),
    Mutant(
        "events", 'return find(name, "delta$") ~= nil and name ~= "message_delta"', 'return find(name, "delta$") ~= nil'
    ),
    Mutant("events", "local shift = self.after and size - self.size or 0", "local shift = 0"),
    Mutant("events", "if byte(data, after) == 44 then", "if false then", quick=True),
    Mutant("events", 'fields(data, 1, name == "meta")', "fields(data, 1)"),
    Mutant("document", "or all and (c == 58 or c == 44)", "or all and c == 58"),
    Mutant("eventstream", "local PRELUDE, CHECKSUM = 12, 4", "local PRELUDE, CHECKSUM = 12, 3", quick=True),
    Mutant("meter", "known[name] = value", "known[name] = known[name] or value", quick=True),
    Mutant("meter", "max(base.completion, seen)", "base.completion"),
    Mutant("request", 'asked == "false" or asked == "null"', 'asked == "false"'),
    Mutant("edits", "while i > 1 and list[i - 1].from > from do", "while false do"),
    Mutant("maxtokens", 'holders = { "generationConfig", "generation_config" }', 'holders = { "generationConfig" }'),
    Mutant("maxtokens", "floor(most / share))", "floor(most + 0 * share))"),
    Mutant("maxtokens", "return (row.keep or longest < 1) and most or longest", "return longest"),
    Mutant("maxtokens", "return share * longest", "return longest"),
    Mutant("maxtokens", "return row.mute and 0 or most", "return most"),
    Mutant("hold", "max(1, clamp(ceil(sum / limit.scale)))", "max(0, clamp(ceil(sum / limit.scale)))"),
    Mutant("multipart", "value and model and value ~= model", "false"),
    Mutant("path", 'whole = gsub(raw, "[?#].*$", "")', 'whole = gsub(raw, "[?].*$", "")'),
    Mutant("path", "local STAND_IN = {", "local STAND_IN = {} or {"),
)


def broken(mutant: Mutant, modules: Mapping[str, str]) -> dict[str, str] | None:
    """The sources with the fault; None when they no longer have that place."""
    source = modules[mutant.module]
    if mutant.old not in source:
        return None
    return {**modules, mutant.module: source.replace(mutant.old, mutant.new, 1)}


def verdicts(mutants: tuple[Mutant, ...] = MUTANTS, cases: int = WITHIN) -> Iterator[tuple[Mutant, str | None]]:
    """Each fault with what finds it, or None."""
    modules = sources()
    for mutant in mutants:
        changed = broken(mutant, modules)
        found = hunt(FuzzedLua("luajit21", changed), "faults", cases) if changed else None
        yield mutant, f"{found.case.target}, {found.what[:50]}" if found else None
