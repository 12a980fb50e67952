"""The Lua bundle and the Lua-literal writer."""

from __future__ import annotations

import importlib
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmroute.render.lua import MODULES, bundle, filter_source, lua_literal
from tests.filters.lua_engine import HERE
from tests.filters.proxy import ENGINES

if TYPE_CHECKING:
    from llmroute.render.lua import JSON

ROOT = HERE.parent.parent
_RUNTIMES = {name: importlib.import_module(f"lupa.{name}").LuaRuntime(encoding=None) for name in ENGINES}
_NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
_TEXT = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from('"\\\n\r\0]0129'), max_size=8)
_JSON = st.recursive(
    st.booleans() | _NUMBERS | _TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=15,
)


def same(value: Any, got: Any) -> bool:
    """Is what Lua read what Python wrote?"""
    if isinstance(value, str):
        return bool(got == value.encode())
    if isinstance(value, list):
        return len(got) == len(value) and all(same(item, got[i]) for i, item in enumerate(value, 1))
    if isinstance(value, dict):
        return len(list(got)) == len(value) and all(same(item, got[key.encode()]) for key, item in value.items())
    return bool(got == value) and isinstance(got, bool) == isinstance(value, bool)


@pytest.mark.parametrize("name", ENGINES)
@settings(max_examples=150, deadline=None, database=None, derandomize=True)
@given(value=_JSON)
def test_literal_means_the_value(name: str, value: JSON) -> None:
    """Whatever JSON holds, Lua reads the same from the literal; the literal is ASCII."""
    literal = lua_literal(value)
    assert literal.isascii()
    assert "\n" not in literal
    assert same(value, _RUNTIMES[name].eval(literal.encode()))


def test_literal_is_the_same_for_the_same_value() -> None:
    """Key order does not matter, and the form is fixed."""
    first: JSON = {"b": [1, 2.5, None], "a": {"é": 'x"\\\n9'}}
    second: JSON = {"a": {"é": 'x"\\\n9'}, "b": [1, 2.5, None]}
    expected = r'{["a"]={["\195\169"]="x\034\092\0109"},["b"]={1,2.5,nil}}'
    assert lua_literal(first) == lua_literal(second) == expected
    assert [lua_literal(value) for value in (None, True, False, -1)] == ["nil", "true", "false", "-1"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**53 + 1, 10**400, "\ud800"])
def test_literal_refuses_what_lua_cannot_hold(value: JSON) -> None:
    """A number that would change and half a surrogate pair are errors, not surprises."""
    with pytest.raises(ValueError, match=r"Lua cannot hold|surrogates not allowed"):
        lua_literal(value)


@pytest.mark.parametrize("value", [b"x", {1: 2}, object(), {1, 2}])
def test_literal_refuses_what_is_no_json(value: Any) -> None:
    """Bytes, sets, objects and keys that are no strings have no literal."""
    with pytest.raises(TypeError, match="no Lua literal for"):
        lua_literal(value)


def sources(**changed: str) -> dict[str, str]:
    """Modules that do nothing, but for those given."""
    return dict.fromkeys(MODULES, "return {}") | {"filter": ""} | changed


def test_bundle_leaves_strings_alone() -> None:
    """Comments and blanks go, strings stay to the byte, whatever they look like."""
    text = "-- gone\nlocal a = \"--  kept\" -- gone\n\n    local b = '\\'--'   \n--[[ gone\n gone ]]\n--[==[ ]] ]==]\n"
    script = bundle(sources(filter=text + "local c = [[\n   -- kept\n\n]]\n"))
    assert script.endswith("do\nlocal a=\"--  kept\"local b='\\'--'local c=[[\n   -- kept\n\n]]\nend\n")
    assert "gone" not in script


def test_bundle_joins_modules_as_locals() -> None:
    """Later modules see earlier ones, under a capital, and nothing is global."""
    lua = importlib.import_module("lupa.luajit21").LuaRuntime()
    main = "local top = 1\nfunction get() return text.x * top end"
    script = bundle(sources(text="local text = { x = 7 }\nreturn text", filter=main))
    assert "local T=(function()local t={x=7}return t\nend)()\nlocal header=(function()return{}\n" in script
    assert script.endswith("do\nlocal t=1\nfunction get()return T.x*t end\nend\n")
    lua.execute(script)
    assert lua.eval("get()") == 7
    assert lua.eval("text") is None
    assert lua.eval("T") is None


def test_bundle_names_functions_and_fields_once() -> None:
    """The script begins with the functions of the library that modules name; a field has one name in all modules."""
    lua = importlib.import_module("lupa.luajit21").LuaRuntime()
    script = bundle(
        sources(
            text="local rep = string.rep\nlocal text = {}\nfunction text.again(word) return rep(word, 2) end\nreturn text",
            filter='local again, type = string.rep, type\nfunction get() return type(again) .. text.again("x") end',
        )
    )
    assert "\nlocal R,T=string.rep,type\nlocal E={}do local _=E\nlocal t=_ function t.a(w)return R(w,2)end\n" in script
    assert script.endswith('do\nfunction get()return T(R)..E.a("x")end\nend\n')
    lua.execute(script)
    assert lua.eval("get()") == "functionxx"


@pytest.mark.parametrize("changed", [{"extra": ""}, {}])
def test_bundle_takes_exactly_the_modules(changed: dict[str, str]) -> None:
    """A module that the bundler does not know, or one that is missing, is an error."""
    modules = sources(**changed)
    if not changed:
        del modules["sse"]
    with pytest.raises(ValueError, match="modules"):
        bundle(modules)


def test_bundle_says_which_module_it_cannot_read() -> None:
    """What the squeezer does not understand is an error with the module, the line and the text."""
    with pytest.raises(ValueError, match=r"^json\.lua, line 2: cannot read 'goto' in 'goto done'$"):
        bundle(sources(json="local json = {}\ngoto done"))


def test_bundle_says_where_its_source_is() -> None:
    """Who reads the script learns from its first lines where the readable source is, and what was done to it."""
    header = "".join(line for line in filter_source().splitlines(keepends=True)[:4] if line.startswith("--"))
    assert "readable source is filters/lua/src of llmroute" in header
    assert "tools/bundle_filter.py" in header
    assert "without comments and with short names" in header


def test_shipped_bundle_is_up_to_date_and_small() -> None:
    """The committed bundle is what the sources give, says what it is, and stays under 50 KiB."""
    check = subprocess.run(
        [sys.executable, "tools/bundle_filter.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (check.returncode, check.stderr) == (0, "")
    assert filter_source().startswith("-- The llmroute filter")
    assert len(filter_source().encode()) < 50 * 1024


def test_modules_are_small() -> None:
    """Every module of the filter stays under 250 lines."""
    counts = {path.stem: len(path.read_text().splitlines()) for path in (ROOT / "filters/lua/src").glob("*.lua")}
    assert {name: count for name, count in counts.items() if count >= 250} == {}
    assert set(counts) == set(MODULES)
