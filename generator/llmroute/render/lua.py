"""The one writer of Lua: literals, and the bundle that makes one script of the filter's modules."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Final, TypeAlias

from llmroute.render.lua_share import read_modules, share

JSON: TypeAlias = "str | int | float | bool | Sequence[JSON] | Mapping[str, JSON] | None"

MODULES: Final = (
    "text",
    "header",
    "errors",
    "json",
    "decode",
    "usage",
    "costs",
    "document",
    "oversize",
    "sse",
    "eventstream",
    "meter",
    "faults",
    "echo",
    "events",
    "context",
    "path",
    "multipart",
    "edits",
    "hold",
    "maxtokens",
    "request",
    "identity",
    "backends",
    "limits",
    "rls",
    "counters",
    "settle",
    "prepaid",
    "response",
    "filter",
)
"""The modules of ``filters/lua/src`` in the order in which they need each other."""

_HEADER: Final = """\
-- The llmroute filter, made by tools/bundle_filter.py: its readable source is filters/lua/src of llmroute,
-- here without comments and with short names. Apache-2.0.
"""
_BARE: Final = frozenset(range(32, 127)) - {ord('"'), ord("\\")}


def bundle(sources: Mapping[str, str]) -> str:
    """Join the filter's modules into the one script that Envoy takes; it has no ``require``.

    Each module becomes a local, as does each function of the standard library that modules have a name for, so the
    script sets no global but its entry points and stays far from LuaJIT's 200 locals.

    Raises:
        ValueError: when the modules are not those of ``MODULES``, or one is no Lua 5.1.
    """
    if set(sources) != set(MODULES):
        raise ValueError(f"modules {sorted(sources)} are not {sorted(MODULES)}")
    *libraries, main = read_modules({name: sources[name] for name in MODULES})
    shared = share([*libraries, main])
    parts = [_library(shared.modules[module.name], shared.squeezed(module)) for module in libraries]
    return "".join([_HEADER, shared.preamble(), *parts, f"do\n{shared.squeezed(main)}\nend\n"])


def _library(name: str, text: str) -> str:
    """A module as a local. One that gives a table which it makes empty and fills takes no function for that."""
    body, gives, table = text.rpartition("return ")
    made = f"local {table}={{"
    if gives and table.isidentifier() and body.count(made) == 1 and f"{made}}}" in body:
        return (
            f"local {name}={{}}do local _={name}\n{body.replace(f'{made}}}', f'local {table}=_ ', 1).rstrip()}\nend\n"
        )
    return f"local {name}=(function(){text}\nend)()\n"


@functools.cache
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
