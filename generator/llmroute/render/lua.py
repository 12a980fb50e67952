"""The one writer of Lua: literals, and the bundle that makes one script of the filter's modules."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Final, TypeAlias

JSON: TypeAlias = "str | int | float | bool | Sequence[JSON] | Mapping[str, JSON] | None"

MODULES: Final = (
    "text",
    "json",
    "usage",
    "document",
    "sse",
    "meter",
    "chunks",
    "request",
    "limits",
    "context",
    "response",
    "filter",
)
"""The modules of ``filters/lua/src`` in the order in which they need each other."""

_HEADER: Final = """\
-- The llmroute filter: meters LLM traffic and sets what its limits select on.
-- Generated from filters/lua/src by tools/bundle_filter.py; change it there. Apache-2.0.
"""
_COMMENT_OR_STRING: Final = re.compile(
    r"""--\[(?P<c>=*)\[.*?\](?P=c)\] | --[^\n]*"""
    r"""| (?P<string> "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*' | \[(?P<s>=*)\[.*?\](?P=s)\] )""",
    re.VERBOSE | re.DOTALL,
)
_LINE_ENDS: Final = re.compile(r"[ \t]*\n\s*")
_BARE: Final = frozenset(range(32, 127)) - {ord('"'), ord("\\")}


def bundle(sources: Mapping[str, str]) -> str:
    """Join the filter's modules into the one script that Envoy takes; it has no ``require``.

    Each module becomes a local of that name, so the script sets no global but its entry points and
    stays far from LuaJIT's 200 locals. Comments and indentation are left behind.
    """
    if set(sources) != set(MODULES):
        raise ValueError(f"modules {sorted(sources)} are not {sorted(MODULES)}")
    *libraries, main = MODULES
    parts = [f"local {name} = (function()\n{_squeeze(sources[name])}\nend)()\n" for name in libraries]
    return "".join([_HEADER, *parts, f"do\n{_squeeze(sources[main])}\nend\n"])


def _squeeze(source: str) -> str:
    """The source without comments, indentation and empty lines; strings stay as they are."""
    pieces: list[str] = []
    code: list[str] = []
    at = 0

    def flush() -> None:
        pieces.append(_LINE_ENDS.sub("\n", "".join(code)))
        code.clear()

    for found in _COMMENT_OR_STRING.finditer(source):
        code.append(source[at : found.start()])
        at = found.end()
        if string := found["string"]:
            flush()
            pieces.append(string)
    code.append(source[at:])
    flush()
    return "".join(pieces).strip()


def filter_source() -> str:
    """The bundled filter that ships with the package."""
    return resources.files("llmroute.data").joinpath("filter.lua").read_text(encoding="utf-8")


def lua_literal(value: JSON) -> str:
    """The value as a Lua expression, in ASCII, the same bytes for the same value.

    A ``None`` becomes ``nil``: in a table it is an entry that is not there.

    Raises:
        TypeError: for anything that JSON does not have.
        ValueError: for a number that Lua's doubles cannot hold exactly, or half a surrogate pair.
    """
    match value:
        case None:
            return "nil"
        case bool():
            return "true" if value else "false"
        case str():
            return _string(value)
        case int() | float():
            return _number(value)
        case Mapping():
            return "{" + ",".join(f"[{_key(key)}]={lua_literal(value[key])}" for key in sorted(value)) + "}"
        case Sequence() if not isinstance(value, bytes | bytearray | memoryview):
            return "{" + ",".join(lua_literal(item) for item in value) + "}"
    raise TypeError(f"no Lua literal for {type(value).__name__}")


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise TypeError(f"no Lua literal for a key of type {type(key).__name__}")
    return _string(key)


def _string(text: str) -> str:
    r"""Everything but plain ASCII as ``\ddd``, always three digits so that no digit after it joins in."""
    encoded = text.encode("utf-8")
    return '"' + "".join(chr(byte) if byte in _BARE else f"\\{byte:03d}" for byte in encoded) + '"'


def _number(number: float) -> str:
    try:
        exact = math.isfinite(number) and int(float(number)) == int(number)
    except OverflowError:
        exact = False
    if not exact:
        raise ValueError(f"Lua cannot hold {number!r} exactly")
    return repr(number)
