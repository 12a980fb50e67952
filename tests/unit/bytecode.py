"""What LuaJIT makes of a source: two sources with the same bytecode do the same."""

from __future__ import annotations

import importlib
from typing import Final

from llmroute.render.lua_squeeze import squeeze

_JIT: Final = importlib.import_module("lupa.luajit21").LuaRuntime(encoding="latin-1")
# Stripped, and in an order that does not depend on what else the engine holds.
_BYTECODE: Final = _JIT.eval("function(source) return string.dump(assert(loadstring(source)), 'sd') end")


def bytecode(source: str) -> str:
    """What LuaJIT makes of a source, without what is there for debuggers: names of locals and lines."""
    return str(_BYTECODE(source))


def checked(source: str) -> str:
    """The squeezed source, of which the engine makes the same."""
    small = squeeze(source)
    same = bytecode(small) == bytecode(source)
    assert same, small
    return small
