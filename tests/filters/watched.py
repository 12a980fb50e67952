"""The filter as its sources have it, but every computed index and every walk over a table is watched.

The bundle gives fields short names. That is safe as long as no table whose fields have new names is read, written or
walked through by computed names, which stay. ``MIXED`` lists where that happened, ``SITES`` where an index by a
computed name was seen.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from llmroute.render.lua import MODULES
from llmroute.render.lua_share import Module, read_modules, share
from llmroute.render.lua_tokens import Kind

SOURCES: Final = Path(__file__).parents[2] / "filters" / "lua" / "src"

_WATCH: Final = """
MIXED, SITES = {}, {}
local function check(where, t)
  for name in pairs(t) do
    if RENAMED[name] then MIXED[where .. ": " .. name] = true end
  end
end
local function WATCH(t, k, where)
  if type(k) == "string" and type(t) == "table" then
    SITES[where] = true
    check(where, t)
  end
  return k
end
local real_next, real_pairs = next, pairs
local function pairs(t) check("pairs", t) return real_pairs(t) end
local function next(t, k) check("next", t) return real_next(t, k) end
"""


def sources() -> dict[str, str]:
    """The modules of the filter, in their order."""
    return {name: (SOURCES / f"{name}.lua").read_text(encoding="utf-8") for name in MODULES}


def watched_filter(modules: dict[str, str] | None = None) -> str:
    """One script of the modules, under the names of the sources."""
    *libraries, main = read = read_modules(modules or sources())
    renamed = ",".join(f"{name}=true" for name in share(read).fields)
    parts = [f"local {module.name}=(function()\n{_watched(module)}\nend)()\n" for module in libraries]
    return "".join([f"RENAMED = {{{renamed}}}\n", _WATCH, *parts, f"do\n{_watched(main)}\nend\n"])


def _watched(module: Module) -> str:
    texts = [token.text for token in module.tokens]
    out = list(texts)
    for place, token in enumerate(module.tokens):
        before = module.tokens[place - 1]
        if token.text == "[" and (before.kind is Kind.NAME or before.text in {"]", ")"}):
            table = " ".join(texts[_start(texts, place) : place])
            close = _close(texts, place)
            out[place] = f"[WATCH({table},"
            out[close] = f',"{module.name}:{token.line}")]'
    return " ".join(out)


def _close(texts: list[str], place: int) -> int:
    """Where the bracket at this place is closed."""
    depth = 0
    while True:
        depth += (texts[place] == "[") - (texts[place] == "]")
        if not depth:
            return place
        place += 1


def _start(texts: list[str], place: int) -> int:
    """Where the expression begins that stands before this place: names and indices, which may be read twice."""
    while True:
        place -= 1
        depth = 0
        while texts[place] == "]" or depth:
            depth += (texts[place] == "]") - (texts[place] == "[")
            place -= 1
        if not texts[place].isidentifier():
            raise ValueError(f"{texts[place]!r} is called twice when it is watched")
        if texts[place - 1] != ".":
            return place
        place -= 1
