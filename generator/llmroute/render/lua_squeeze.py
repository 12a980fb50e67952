"""Makes a Lua 5.1 source small, but no puzzle: each local keeps its first letter."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Sequence
from functools import cache
from itertools import chain, count, pairwise, zip_longest

from llmroute.render.lua_grammar import resolve
from llmroute.render.lua_scopes import Local, Names
from llmroute.render.lua_tokens import Token, tokenise


def squeeze(source: str) -> str:
    """The source without comments, blank lines and needless blanks, its locals under short names.

    Where a blank has to stay that was the end of a line, it still is one. Globals, fields, keys and strings stay what
    they are: the engine makes the same bytecode of both.

    Raises:
        ValueError: names the line and the text that is no Lua 5.1.
    """
    return squeeze_tokens(source, tokenise(source))


def squeeze_tokens(source: str, read: Sequence[Token]) -> str:
    """The same for tokens of the source of which some have new texts, or are left out.

    Raises:
        ValueError: names the line and the text that is no Lua 5.1.
    """
    *tokens, end = read
    names = resolve(source, [*tokens, end])
    short = _shorten(tokens, names)
    texts = [short[local] if (local := names.get(place)) else token.text for place, token in enumerate(tokens)]
    gaps = [
        ("\n" if after.line > before.last_line else " ") if _needs_blank(left, right) else ""
        for (before, after), (left, right) in zip(pairwise(tokens), pairwise(texts), strict=True)
    ]
    return "".join(chain.from_iterable(zip_longest(texts, gaps, fillvalue="")))


def _shorten(tokens: Sequence[Token], names: Names) -> dict[Local, str]:
    """A name for each local; what is known first is named first.

    So all that a local could hide has its name by then. It may hide what is not used as long as it is known.
    """
    places = sorted(names)
    found = dict.fromkeys(local for place in places if (local := names[place]))
    short = {local: local.name for local in found if local.fixed}
    for local in sorted(found, key=lambda local: local.start):
        if local.fixed:
            continue
        taken = {
            tokens[place].text if (used := names[place]) is None else short.get(used, "")
            for place in places[bisect_left(places, local.start) : bisect_left(places, local.stop)]
        }
        # Twice a name in one list is Lua, but nobody wants to read it.
        taken.update(name for other, name in short.items() if other.start == local.start and other.name != local.name)
        short[local] = _free(local.name[0], taken)
    return short


def _free(letter: str, taken: Collection[str]) -> str:
    """The letter, or the letter with the first number from 2 on that makes a free name; that is no keyword."""
    return next(name for number in count(1) if (name := f"{letter}{number if number > 1 else ''}") not in taken)


@cache
def _needs_blank(left: str, right: str) -> bool:
    """Would these two tokens be others, or none, if they stood together?"""
    try:
        return [token.text for token in tokenise(left + right)] != [left, right, ""]
    except ValueError:
        return True
