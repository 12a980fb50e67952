"""Squeezed or not, a Lua source means the same: every module of the filter, and sources made at random."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmroute.render.lua import MODULES
from llmroute.render.lua_grammar import resolve
from llmroute.render.lua_share import Module, Shared, read_modules, share
from llmroute.render.lua_squeeze import squeeze
from llmroute.render.lua_tokens import Kind, Token, tokenise
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


def undone(shared: Shared, module: Module) -> str:
    """A module of the script with its own names for functions again, and the names of modules and fields."""
    small = shared.squeezed(module)
    tokens = tokenise(small)
    names = resolve(small, tokens)
    fields = {short: name for name, short in shared.fields.items()}
    modules = {short: name for name, short in shared.modules.items()}
    texts = [
        token.text
        if token.kind is not Kind.NAME or names.get(place)
        else modules.get(token.text, token.text)
        if place in names
        else fields.get(token.text, token.text)
        for place, token in enumerate(tokens)
    ]
    own = list(module.functions.values())
    first = f"local {','.join(shared.functions[path] for path in own)}={','.join(own)}" if own else ""
    return " ".join([first, *texts])


@pytest.mark.parametrize("name", MODULES)
def test_what_modules_share_changes_names_alone(name: str) -> None:
    """With its names for functions at its beginning, and with its fields, a module of the script is what it was."""
    modules = read_modules({path.stem: path.read_text(encoding="utf-8") for path in SOURCES})
    shared = share(modules)
    module = next(module for module in modules if module.name == name)
    assert bytecode(undone(shared, module)) == bytecode(module.source)
    assert shared.squeezed(module).count("\n") <= module.source.count("\n")
    for short in (shared.fields, shared.modules, shared.functions):
        assert len(set(short.values())) == len(short)


def test_the_check_sees_a_wrong_field() -> None:
    """It can fail: two fields under one name, and one function in the place of another."""
    (module,) = modules = read_modules(
        {"m": "local find, sub = string.find, string.sub\nreturn find(a.size, sub, a.sink)"}
    )
    shared = share(modules)
    assert bytecode(undone(shared, module)) == bytecode(module.source)
    for wrong in (
        replace(shared, fields={"size": "s", "sink": "s"}),
        replace(shared, functions={"string.find": "F", "string.sub": "F"}),
    ):
        assert bytecode(undone(wrong, module)) != bytecode(module.source)
