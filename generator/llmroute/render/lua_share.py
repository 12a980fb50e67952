"""What the modules of one script share: short names for functions of the standard library, modules and fields."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain, count
from typing import Final

from llmroute.render.lua_fields import short_fields
from llmroute.render.lua_grammar import resolve
from llmroute.render.lua_scopes import Local, Names
from llmroute.render.lua_squeeze import squeeze_tokens
from llmroute.render.lua_tokens import Kind, Token, tokenise

_LIBRARIES: Final = frozenset({"string", "table", "math"})
_FUNCTIONS: Final = frozenset(
    {"assert", "error", "ipairs", "next", "pairs", "pcall", "select", "tonumber", "tostring", "type", "unpack"}
)
# LuaJIT makes a faster loop by these names alone.
_LOOPS: Final = frozenset({"next", "pairs"})


@dataclass(frozen=True, slots=True)
class Module:
    """A module, read."""

    name: str
    source: str
    tokens: list[Token]
    names: Names
    functions: dict[Local, str]
    """Its locals that are functions of the standard library, such as ``string.find``."""
    dropped: frozenset[int]
    """The places of the statements that declare them."""


@dataclass(frozen=True, slots=True)
class Shared:
    """Short names, the same in the whole script."""

    functions: Mapping[str, str]
    """By what they stand for in Lua."""
    modules: Mapping[str, str]
    fields: Mapping[str, str]

    def preamble(self) -> str:
        """The statement that makes the functions known to all modules."""
        if not self.functions:
            return ""
        return f"local {','.join(self.functions.values())}={','.join(self.functions)}\n"

    def squeezed(self, module: Module) -> str:
        """The module under these names, squeezed."""
        return squeeze_tokens(module.source, list(self._renamed(module)))

    def _renamed(self, module: Module) -> Iterator[Token]:
        for place, token in enumerate(module.tokens):
            if place in module.dropped:
                continue
            text = token.text
            if token.kind is Kind.NAME and place not in module.names:
                text = self.fields.get(text, text)
            elif token.kind is Kind.NAME:
                local = module.names[place]
                if local is None:
                    text = self.modules.get(text, text)
                elif local in module.functions:
                    text = self.functions[module.functions[local]]
            yield replace(token, text=text)


def read_modules(sources: Mapping[str, str]) -> list[Module]:
    """The modules in this order.

    Raises:
        ValueError: names the module, the line and the text that is no Lua 5.1.
    """
    return [_read(name, source) for name, source in sources.items()]


def _read(name: str, source: str) -> Module:
    try:
        tokens = tokenise(source)
        names = resolve(source, tokens)
    except ValueError as error:
        raise ValueError(f"{name}.lua, {error}") from error
    functions: dict[Local, str] = {}
    dropped: set[int] = set()
    for place in range(len(tokens)):
        if found := _aliases(tokens, names, place):
            functions.update(found)
            stop = next(iter(found)).start
            dropped.update(range(place, stop + (tokens[stop].text == ";")))
    return Module(name, source, tokens, names, functions, frozenset(dropped))


def _aliases(tokens: list[Token], names: Names, place: int) -> dict[Local, str] | None:
    """What the statement at this place declares, if it is one of the whole module that names functions only.

    They must be named for good: a local that is set again is no other name for anything.
    """
    if tokens[place].text != "local" or tokens[place + 1].kind is not Kind.NAME:
        return None
    left, at = _list(tokens, place + 1)
    if tokens[at].text != "=":
        return None
    right, at = _list(tokens, at + 1)
    found = [local for start, _ in left if (local := names[start])]
    paths = [path for start, path in right if names[start] is None and _is_function(path)]
    if not len(left) == len(right) == len(paths) == len({local.name for local in found}):
        return None
    # The statement ends where the list does, and what it declares is known to the end of the module.
    if any(local.assigned or local.start != at or local.stop != len(tokens) - 1 for local in found):
        return None
    return dict(zip(found, paths, strict=True))


def _list(tokens: list[Token], at: int) -> tuple[list[tuple[int, str]], int]:
    """Names from this place on, with their members, between commas; and the place after them."""
    found: list[tuple[int, str]] = []
    while tokens[at].kind is Kind.NAME:
        start, path = at, tokens[at].text
        at += 1
        while tokens[at].text == "." and tokens[at + 1].kind is Kind.NAME:
            path += "." + tokens[at + 1].text
            at += 2
        found.append((start, path))
        if tokens[at].text != ",":
            break
        at += 1
    return found, at


def _is_function(path: str) -> bool:
    library, _, member = path.rpartition(".")
    return library in _LIBRARIES and "." not in member if library else member in _FUNCTIONS


def share(modules: list[Module]) -> Shared:
    """Short names for what these modules share; the same for the same sources."""
    own = sorted(module.name for module in modules)
    used: Counter[str] = Counter()
    for module in modules:
        for place, local in module.names.items():
            text = module.tokens[place].text
            if local in module.functions:
                used[module.functions[local]] += 1
            elif local is None and text in own:
                used[text] += 1
    # No name that any module has for anything, so that none hides another.
    taken = {token.text for module in modules for token in module.tokens if token.kind is Kind.NAME}
    short: dict[str, str] = {}
    for path in sorted(used, key=lambda path: (-used[path], path)):
        short[path] = path if path in _LOOPS else _capital(path.rpartition(".")[2], taken)
        taken.add(short[path])
    return Shared(
        {path: short[path] for path in sorted(used.keys() - own)},
        {name: short.get(name, name) for name in own},
        short_fields([(module.tokens, module.names) for module in modules], own),
    )


def _capital(name: str, taken: Collection[str]) -> str:
    """One of its letters as a capital, else the first with a number."""
    letters = [letter for letter in name.upper() if letter.isalpha()]
    return next(
        short for short in chain(letters, (f"{letters[0]}{number}" for number in count(2))) if short not in taken
    )
