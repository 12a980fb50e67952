"""Squeezed or not, a Lua source means the same: every module of the filter, and sources made at random."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmroute.render.lua_grammar import resolve
from llmroute.render.lua_squeeze import squeeze
from llmroute.render.lua_tokens import Token, tokenise
from tests.unit.bytecode import bytecode, checked

SOURCES: Final = sorted((Path(__file__).parents[2] / "filters" / "lua" / "src").glob("*.lua"))
ENGINES: Final = ("luajit21", "lua51")


def variables(source: str, tokens: list[Token]) -> list[int | None]:
    """For each name that is a variable the place where it first stands, ``None`` for a global."""
    names = resolve(source, tokens)
    first: dict[object, int] = {}
    return [None if (local := names[place]) is None else first.setdefault(local, place) for place in sorted(names)]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_each_module_keeps_its_meaning(path: Path) -> None:
    """Token for token the same; a local stands for a local throughout, all else is equal; so is the bytecode."""
    source = path.read_text(encoding="utf-8")
    small = checked(source)
    old, new = tokenise(source), tokenise(small)
    assert variables(source, old) == variables(small, new)
    renamed = {place for place, local in resolve(source, old).items() if local}
    assert [token.kind for token in old] == [token.kind for token in new]
    assert [t.text for i, t in enumerate(old) if i not in renamed] == [
        t.text for i, t in enumerate(new) if i not in renamed
    ]
    assert all(new[place].text[0] == old[place].text[0] for place in renamed)
    assert squeeze(source) == small == squeeze(small)
    for name in ENGINES:
        lua = importlib.import_module(f"lupa.{name}").LuaRuntime()
        assert lua.eval("function(source) return loadstring(source) ~= nil end")(small) is True


_NAME = st.sampled_from(["a", "all", "any", "a2", "b", "self", "arg", "pairs", "_"])
_DEPTH: Final = 3


def _expression(depth: int) -> st.SearchStrategy[str]:
    simple = _NAME | st.sampled_from(["1", ".5", "...", "'a'", "all.any", "a:all()", "#b", "pairs(a)"])
    if not depth:
        return simple
    inner = _expression(depth - 1)
    return simple | st.one_of(
        st.builds("{} - -{}".format, inner, inner),
        st.builds("{} .. {}".format, inner, inner),
        st.builds("{{ {} = {}, [{}] = {} }}".format, _NAME, inner, inner, inner),
        st.builds("({})({})".format, inner, inner),
        st.builds("function({}, ...) {} end".format, _NAME, _block(depth - 1)),
    )


def _statement(depth: int) -> st.SearchStrategy[str]:
    value = _expression(min(depth, 1))
    simple = st.one_of(
        st.builds("local {}, {} = {}".format, _NAME, _NAME, value),
        st.builds("local {}".format, _NAME),
        st.builds("{} = {}".format, _NAME, value),
        st.builds("{}.{}, {} = {}".format, _NAME, _NAME, _NAME, value),
        st.builds("{}({})".format, _NAME, value),
    )
    if not depth:
        return simple
    inner = _block(depth - 1)
    return simple | st.one_of(
        st.builds("do {} end".format, inner),
        st.builds("while {} do {} break end".format, value, inner),
        st.builds("repeat {} until {}".format, inner, value),
        st.builds("if {} then {} elseif {} then {} else {} end".format, value, inner, value, inner, inner),
        st.builds("for {} = {}, {} do {} end".format, _NAME, value, value, inner),
        st.builds("for {}, {} in {} do {} end".format, _NAME, _NAME, value, inner),
        st.builds("local function {}({}, {}, ...) {} end".format, _NAME, _NAME, _NAME, inner),
        st.builds("function {}.{}({}, ...) {} end".format, _NAME, _NAME, _NAME, inner),
        st.builds("function {}:{}({}, ...) {} end".format, _NAME, _NAME, _NAME, inner),
    )


def _block(depth: int) -> st.SearchStrategy[str]:
    return st.lists(_statement(depth), min_size=1, max_size=4).map("; ".join)


@settings(max_examples=300, deadline=None, database=None, derandomize=True)
@given(source=_block(_DEPTH))
def test_any_source_keeps_its_meaning(source: str) -> None:
    """Few names, many scopes, all of them hiding each other: LuaJIT makes the same bytecode of both."""
    checked(source)


def test_engines_see_a_wrong_name() -> None:
    """The check by bytecode can fail: a local that takes the name of a used one gives other bytecode."""
    source = "local all = 1\nlocal any = 2\nreturn all + any"
    assert bytecode("local a=1\nlocal b=2\nreturn a+b") == bytecode(source)
    assert bytecode("local a=1\nlocal a=2\nreturn a+a") != bytecode(source)
