"""The filter passes Envoy Gateway's Strict validation, as far as it can be emulated."""

from __future__ import annotations

import importlib
import re
from typing import Final

import pytest

from llmroute.render.lua import filter_source
from tests.filters.lua_engine import HERE
from tests.filters.proxy import ENGINES

ENTRIES: Final = ("envoy_on_request", "envoy_on_response")
_STRING: Final = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)
_ESCAPE: Final = re.compile(r"\\(?![abfnrtv\\\"'\n]|\d{1,3})")


def validate(engine: str, source: str) -> tuple[list[str], list[str]]:
    """What Strict validation would say against a script, and what the script logged."""
    problems = [f"escape in {text}" for text in _STRING.findall(source) if _ESCAPE.search(text.replace("\\\\", ""))]
    logged: list[str] = []
    for entry in ENTRIES:
        if entry not in source:
            continue
        lua = importlib.import_module(f"lupa.{engine}").LuaRuntime(encoding=None)
        run = lua.execute((HERE / "strict.lua").read_bytes())
        problem, errors = run(source.encode(), entry.encode())
        problems += [problem.decode()] if problem else []
        logged += [line.decode() for line in errors.values()]
    if not any(entry in source for entry in ENTRIES):
        problems.append("no entry point")
    return problems, logged


@pytest.mark.parametrize("engine", ENGINES)
def test_filter_passes(engine: str) -> None:
    """Both entry points run on the mocks without an error, and without one that the filter caught itself."""
    assert validate(engine, filter_source()) == ([], [])


BAD = {
    "setmetatable": "setmetatable({}, {})",
    "getmetatable": "getmetatable('')",
    "require": "require('x')",
    "loadstring": "loadstring('')",
    "load": "load('')",
    "rawget": "rawget({}, 1)",
    "_G": "local x = _G.print",
    "debug": "debug.traceback()",
    "getfenv": "getfenv()",
    "newproxy": "newproxy()",
    "module": "module('x')",
    "io": "io.open('/etc/passwd')",
    "os.exit": "os.exit()",
    "unknown method": "h:clearRouteCache()",
    "unknown headers method": "h:headers():set('a', 'b')",
    "unknown stream info": "h:streamInfo():filterState()",
    "arithmetic on a made-up word": "local n = h:headers():get(':status') + 1",
    "index of a made-up word": "local n = h:filterContext():get('limits').a.b",
    "match without a match": "tonumber(string.match(h:headers():get('x'), '%d+'))",
    "method match without a match": "tonumber(('x'):match('%d+'))",
    "hexadecimal escape": r"local x = '\x41'",
    "unicode escape": r"local x = '\u{41}'",
    "syntax": "local = 1",
    "endless loop": "while true do end",
    "deep recursion": "local function f(n) return n > 0 and 1 + f(n - 1) or 0 end f(400)",
    "error": "error('x')",
    "log of no string": "h:logErr(nil)",
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", BAD)
def test_bad_scripts_are_rejected(engine: str, name: str) -> None:
    """The emulation is worth something: it refuses what EG refuses."""
    problems, _ = validate(engine, f"function envoy_on_request(h)\n{BAD[name]}\nend")
    assert problems


@pytest.mark.parametrize("engine", ENGINES)
def test_a_script_without_entry_points_is_rejected(engine: str) -> None:
    """A script that Envoy would never call is a mistake."""
    assert validate(engine, "local x = 1") == (["no entry point"], [])


@pytest.mark.parametrize("engine", ENGINES)
def test_good_script_is_accepted(engine: str) -> None:
    """What is allowed passes: decimal escapes, a match that is assigned first, every known method."""
    source = r"""
function envoy_on_response(h)
  local digits = string.match(h:headers():get("x"), "%d+")
  local n = tonumber(digits) or tonumber("1")
  for chunk in h:bodyChunks() do h:logInfo(chunk:getBytes(0, chunk:length()) .. n .. "\195\169\\x") end
  h:streamInfo():dynamicMetadata():set("a", "b", 1)
end"""
    assert validate(engine, source) == ([], ["example_bytes1é\\x"] * 3)


def test_filter_sets_no_global_but_its_entry_points() -> None:
    """State that a worker's streams would share is impossible: the script adds two globals and no more."""
    lua = importlib.import_module("lupa.luajit21").LuaRuntime()
    before = set(lua.globals())
    lua.execute(filter_source())
    assert set(lua.globals()) - before == set(ENTRIES)
