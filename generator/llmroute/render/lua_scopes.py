"""Which variable each name of a Lua source means: a walk along its tokens that keeps the scopes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeAlias

from llmroute.render.lua_tokens import Kind, Token, unreadable


@dataclass(slots=True, eq=False)
class Local:
    """A local variable or parameter, known from the token ``start`` up to the token ``stop``."""

    name: str
    fixed: bool = False
    """It must keep its name."""
    assigned: bool = False
    """It is set again after its own statement."""
    start: int = 0
    stop: int = 0


Names: TypeAlias = dict[int, Local | None]
"""By its place among the tokens what a name means, ``None`` for a global. Fields, methods and keys are not in it."""

# Engines look at these names. Lua 5.1 gives a function with `...` a hidden local `arg`, so the name may mean another
# thing than it seems to; LuaJIT makes a faster loop of `in pairs(...)` and `in next, ...`, by the name alone.
_FIXED: Final = frozenset({"arg", "pairs", "next"})


class Walk:
    """Goes along the tokens; notes what each name means in the scopes that are open."""

    def __init__(self, source: str, tokens: Sequence[Token]) -> None:
        """The tokens are those of the source, which errors cite."""
        self.names: Names = {}
        self._source = source
        self._tokens = tokens
        self._at = 0
        self._scopes: list[list[Local]] = []

    @property
    def token(self) -> Token:
        """The next token."""
        return self._tokens[self._at]

    @property
    def place(self) -> int:
        """Where the next token stands."""
        return self._at

    @property
    def after(self) -> Token:
        """The token after the next."""
        return self._tokens[min(self._at + 1, len(self._tokens) - 1)]

    def error(self) -> ValueError:
        """The next token is none that can stand there."""
        return unreadable(self._source, self.token.line, self.token.text)

    def step(self) -> None:
        """Goes past the next token, whatever it is."""
        self._at += 1

    def skip(self, text: str) -> bool:
        """Goes past this token if it is next."""
        if seen := self.token.text == text:
            self.step()
        return seen

    def take(self, text: str) -> None:
        """Goes past this token, which must be next."""
        if not self.skip(text):
            raise self.error()

    def name(self) -> int:
        """Goes past a name, which may be a field's: where it stands."""
        if self.token.kind is not Kind.NAME:
            raise self.error()
        self.step()
        return self._at - 1

    def use(self, place: int) -> None:
        """The name at this place is a variable's: the innermost local of that name, or else a global."""
        name = self._tokens[place].text
        known = (local for scope in reversed(self._scopes) for local in reversed(scope))
        self.names[place] = next((local for local in known if local.name == name), None)

    def assign(self, place: int) -> None:
        """The variable at this place is set."""
        if local := self.names[place]:
            local.assigned = True

    def declare(self, places: Sequence[int]) -> list[Local]:
        """Locals for the names at these places; nothing knows them before they enter a scope."""
        names = [self._tokens[place].text for place in places]
        found = [Local(name, fixed=name in _FIXED) for name in names]
        self.names.update(zip(places, found, strict=True))
        return found

    def enter(self, found: Sequence[Local]) -> None:
        """From here on these are known."""
        for local in found:
            local.start = self._at
        self._scopes[-1].extend(found)

    @contextmanager
    def scope(self, known: Sequence[Local] = ()) -> Iterator[None]:
        """A scope that knows these from its start; at its end all that entered it are forgotten."""
        self._scopes.append([])
        self.enter(known)
        yield
        for local in self._scopes.pop():
            local.stop = self._at
