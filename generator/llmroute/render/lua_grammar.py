"""The grammar of Lua 5.1, as far as scopes need it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from llmroute.render.lua_scopes import Local, Names, Walk
from llmroute.render.lua_tokens import Kind, Token

_BLOCK_ENDS: Final = frozenset({"end", "else", "elseif", "until", ""})
_VALUES: Final = frozenset({"nil", "true", "false", "..."})
_UNARY: Final = frozenset({"-", "#", "not"})
_BINARY: Final = frozenset({"+", "-", "*", "/", "%", "^", "..", "<", "<=", ">", ">=", "==", "~=", "and", "or"})
_CALLS: Final = frozenset({":", "(", "{"})


def resolve(source: str, tokens: Sequence[Token]) -> Names:
    """What the names of a source mean, given its tokens.

    Raises:
        ValueError: names the line and the text that is no Lua 5.1.
    """
    reader = _Reader(source, tokens)
    reader.read()
    return reader.names


class _Reader(Walk):
    """Recursive descent. Precedence moves no name, so an expression is operands with operators between them."""

    def __init__(self, source: str, tokens: Sequence[Token]) -> None:
        super().__init__(source, tokens)
        self._statements: Final[Mapping[str, Callable[[], None]]] = {
            "local": self._local,
            "function": self._function,
            "for": self._for,
            "if": self._if,
            "while": self._while,
            "repeat": self._repeat,
            "do": self._do,
            "return": self._return,
        }

    def read(self) -> None:
        """The whole source."""
        self._block()
        if self.token.kind is not Kind.END:
            raise self.error()

    def _block(self, known: Sequence[Local] = (), *, condition: bool = False) -> None:
        """The statements of a block that knows some locals from its start; a condition after it knows all of them."""
        with self.scope(known):
            while self.token.text not in _BLOCK_ENDS:
                self._statement()
                self.skip(";")
            if condition:
                self.take("until")
                self._expression()

    def _statement(self) -> None:
        if read := self._statements.get(self.token.text):
            self.step()
            read()
        elif not self.skip("break"):
            self._call_or_assignment()

    def _call_or_assignment(self) -> None:
        """No other expression is a statement; so `goto`, labels and attributes of locals end here."""
        if self._target():
            return
        while self.skip(","):
            self._target()
        self.take("=")
        self._expressions()

    def _target(self) -> bool:
        """What may be set, and as all of a statement called: is it a call?"""
        place = self.place
        called = self._prefixed()
        if self.place == place + 1:
            self.assign(place)
        return called

    def _local(self) -> None:
        if self.skip("function"):
            self.enter(self.declare([self.name()]))
            self._body()
            return
        places = self._name_list()
        if self.skip("="):
            self._expressions()
        # What it is set to does not know it.
        self.enter(self.declare(places))

    def _name_list(self) -> list[int]:
        places = [self.name()]
        while self.skip(","):
            places.append(self.name())
        return places

    def _function(self) -> None:
        place = self.name()
        self.use(place)
        if self.token.text == "(":
            self.assign(place)
        while self.skip("."):
            self.name()
        if method := self.skip(":"):
            self.name()
        self._body([Local("self", fixed=True)] if method else [])

    def _body(self, hidden: Sequence[Local] = ()) -> None:
        """A function from its parameters to its end."""
        places: list[int] = []
        self.take("(")
        while not self.skip(")"):
            if places:
                self.take(",")
            if self.skip("..."):
                self.take(")")
                break
            places.append(self.name())
        self._block([*hidden, *self.declare(places)])
        self.take("end")

    def _for(self) -> None:
        places = self._name_list()
        self.take("=" if self.token.text == "=" and len(places) == 1 else "in")
        self._expressions()
        self.take("do")
        self._block(self.declare(places))
        self.take("end")

    def _if(self) -> None:
        self._expression()
        self.take("then")
        self._block()
        while self.skip("elseif"):
            self._expression()
            self.take("then")
            self._block()
        if self.skip("else"):
            self._block()
        self.take("end")

    def _while(self) -> None:
        self._expression()
        self.take("do")
        self._do()

    def _do(self) -> None:
        self._block()
        self.take("end")

    def _repeat(self) -> None:
        self._block(condition=True)

    def _return(self) -> None:
        if self.token.text not in _BLOCK_ENDS | {";"}:
            self._expressions()

    def _expressions(self) -> None:
        self._expression()
        while self.skip(","):
            self._expression()

    def _expression(self) -> None:
        while True:
            while self.token.text in _UNARY:
                self.step()
            self._operand()
            if self.token.text not in _BINARY:
                return
            self.step()

    def _operand(self) -> None:
        if self.token.kind in {Kind.NUMBER, Kind.STRING} or self.token.text in _VALUES:
            self.step()
        elif self.skip("function"):
            self._body()
        elif self.token.text == "{":
            self._table()
        else:
            self._prefixed()

    def _prefixed(self) -> bool:
        """A variable or an expression in parentheses, and what follows it; is the last thing a call?"""
        if self.skip("("):
            self._expression()
            self.take(")")
        else:
            self.use(self.name())
        called = False
        while True:
            if self.skip("."):
                self.name()
                called = False
            elif self.skip("["):
                self._expression()
                self.take("]")
                called = False
            elif self.token.text in _CALLS or self.token.kind is Kind.STRING:
                self._arguments()
                called = True
            else:
                return called

    def _arguments(self) -> None:
        if self.skip(":"):
            self.name()
        if self.token.kind is Kind.STRING:
            self.step()
        elif self.token.text == "{":
            self._table()
        else:
            self.take("(")
            if not self.skip(")"):
                self._expressions()
                self.take(")")

    def _table(self) -> None:
        self.take("{")
        while not self.skip("}"):
            if self.skip("["):
                self._expression()
                self.take("]")
                self.take("=")
            elif self.token.kind is Kind.NAME and self.after.text == "=":
                self.name()
                self.take("=")
            self._expression()
            if not self.skip(",") and not self.skip(";"):
                self.take("}")
                return
