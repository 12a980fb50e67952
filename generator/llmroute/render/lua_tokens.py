"""The words of a Lua 5.1 source: strings, numbers, names, keywords and symbols, each with its line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final


class Kind(Enum):
    """What a token is."""

    NAME = auto()
    KEYWORD = auto()
    NUMBER = auto()
    STRING = auto()
    SYMBOL = auto()
    END = auto()


@dataclass(frozen=True, slots=True)
class Token:
    """One token as it stands in the source."""

    kind: Kind
    text: str
    line: int

    @property
    def last_line(self) -> int:
        """The line on which it ends; a string may span several."""
        return self.line + self.text.count("\n")


# goto is a name to Lua 5.1 but not to LuaJIT; as a keyword no statement begins with it, so it is refused.
_KEYWORDS: Final = frozenset(
    {"and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in", "local", "nil"}
    | {"not", "or", "repeat", "return", "then", "true", "until", "while"}
)
# An unfinished long comment must not pass as one that ends with its line. Lua takes no number that a letter,
# a digit or a dot follows: 1..2 and 0x1g are errors.
_TOKEN: Final = re.compile(
    r"""(?: \s+ | --\[(?P<c>=*)\[.*?\](?P=c)\] | --(?!\[=*\[)[^\n]* )
    | (?P<NAME> [A-Za-z_][A-Za-z0-9_]* )
    | (?P<NUMBER> (?: 0[xX][0-9a-fA-F]+ | (?:[0-9]+\.?[0-9]*|\.[0-9]+) (?:[eE][+-]?[0-9]+)? ) (?![\w.]) )
    | (?P<STRING> "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*' | \[(?P<s>=*)\[.*?\](?P=s)\] )
    | (?P<SYMBOL> \.\.\.? | [=~<>]= | -(?!-) | [+*/%^#<>=(){};:,.] | \[(?!=*\[) | \] )""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_MATCHED: Final = (Kind.NAME, Kind.NUMBER, Kind.STRING, Kind.SYMBOL)


def tokenise(source: str) -> list[Token]:
    """The tokens of a source and one of kind END; comments and blanks are none.

    Raises:
        ValueError: names the line and the text that is no Lua 5.1.
    """
    tokens: list[Token] = []
    at, line = 0, 1
    while at < len(source):
        if not (found := _TOKEN.match(source, at)):
            raise unreadable(source, line, source[at])
        text = found.group()
        if kind := next((kind for kind in _MATCHED if found[kind.name] is not None), None):
            tokens.append(Token(Kind.KEYWORD if text in _KEYWORDS else kind, text, line))
        line += text.count("\n")
        at = found.end()
    return [*tokens, Token(Kind.END, "", line)]


def unreadable(source: str, line: int, text: str) -> ValueError:
    """The error that says where a source cannot be read."""
    return ValueError(f"line {line}: cannot read {text or 'the end'!r} in {source.split(chr(10))[line - 1].strip()!r}")
