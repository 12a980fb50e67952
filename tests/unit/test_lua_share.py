"""Functions of the standard library and modules under one name in all of a script: which, and which not."""

from __future__ import annotations

import pytest

from llmroute.render.lua_share import Shared, read_modules, share
from llmroute.render.lua_squeeze import squeeze


def shared(**sources: str) -> tuple[Shared, dict[str, str]]:
    """What these modules share, and what each becomes."""
    modules = read_modules(sources)
    found = share(modules)
    return found, {module.name: found.squeezed(module) for module in modules}


@pytest.mark.parametrize(
    ("source", "preamble", "small"),
    [
        ("local find = string.find\nreturn find(x)", "local F=string.find\n", "return F(x)"),
        ("local find, type = string.find, type;\nreturn type(find)", "local F,T=string.find,type\n", "return T(F)"),
        # One function under two names, two functions of one name, and the letters of a name.
        (
            "local sub = string.sub\nlocal cut = string.sub\nreturn sub(x), cut(x)",
            "local S=string.sub\n",
            "return S(x),S(x)",
        ),
        (
            "local find, format, floor = string.find, string.format, math.floor\nreturn find, format, floor",
            "local F,I,O=math.floor,string.find,string.format\n",
            "return I,O,F",
        ),
        ("local max, M, A, X = math.max, 1\nreturn max", "", "local m,M,A,X=math.max,1\nreturn m"),
        ("local max = math.max\nlocal M, A, X\nreturn max", "local M2=math.max\n", "local M,A,X\nreturn M2"),
        # A parameter of the same name is another thing; one that has the short name keeps it for itself.
        (
            "local sub = string.sub\nreturn function(sub) return sub end",
            "local S=string.sub\n",
            "return function(s)return s end",
        ),
        (
            "local sub = string.sub\nreturn function(S) return sub(S) end",
            "local U=string.sub\n",
            "return function(S)return U(S)end",
        ),
        # LuaJIT knows these by name.
        ("local pairs, next = pairs, next\nf(pairs, next)", "local next,pairs=next,pairs\n", "f(pairs,next)"),
        ("local each = pairs\nfor k in each(t) do f(k) end", "local pairs=pairs\n", "for k in pairs(t)do f(k)end"),
    ],
)
def test_a_function_is_named_once(source: str, preamble: str, small: str) -> None:
    """What a module calls a function of the library is the script's own name for it."""
    found, modules = shared(m=source)
    assert found.preamble() == preamble
    assert modules["m"] == small


@pytest.mark.parametrize(
    "source",
    [
        "local find = strings.find\nreturn find",
        "local a = string.find.x\nreturn a",
        "local a = string\nreturn a",
        "local a = print\nreturn a",
        "local a, b = string.find\nreturn a, b",
        "local a = string.find, string.sub\nreturn a",
        "local a, b = string.find, 1\nreturn a, b",
        "local a = string.find or f\nreturn a",
        "local a = string.find(f)\nreturn a",
        "local a = (string.find)\nreturn a",
        "local a, a = string.find, string.sub\nreturn a",
        "local string = f\nlocal a = string.find\nreturn a",
        "local type = f\nlocal a = type\nreturn a",
        "do local a = string.find f(a) end",
        "function f() local a = string.find f(a) end",
        "local a = string.find\na = f\nreturn a",
        "local a, b = string.find\nreturn function() b, a = 1, 2 end",
        "local a = string.find\nfunction a() end",
        "local a = string.find\nreturn function() function a() end end",
    ],
)
def test_what_is_no_name_for_a_function_stays(source: str) -> None:
    """A value that is worked out, a local that is set again, a part of a module, and what is of no library."""
    found, modules = shared(m=source)
    assert found.preamble() == ""
    assert modules["m"] == squeeze(source)


def test_members_may_be_set() -> None:
    """A call, or a field that is set, leaves the local what it is."""
    found, modules = shared(m="local type = type\ntype(x).y = 1\ntype(z)\nx.type = 2")
    assert found.functions == {"type": "T"}
    assert modules["m"] == "T(x).y=1\nT(z)x.type=2"


def test_a_module_has_one_name() -> None:
    """In other modules and nowhere else: a local or a field of that name is another thing."""
    found, modules = shared(
        one="local one = { one = true, two = true }\nreturn one",
        two="local x = one.two\nreturn function(one) return one.one, x end",
        main="f(one, two, two)",
    )
    assert found.modules == {"main": "main", "one": "O", "two": "T"}
    assert modules["one"] == "local o={one=true,two=true}return o"
    assert modules["two"] == "local x=O.two\nreturn function(o)return o.one,x end"
    assert modules["main"] == "f(O,T,T)"


def test_what_is_used_more_comes_first() -> None:
    """The same sources give the same names, and the commonest the shortest."""
    sources = {"m": "local sub, sort, select = string.sub, table.sort, select\nf(sort, sort, sort, sub, sub, select)"}
    found, _ = shared(**sources)
    assert found.functions == {"select": "E", "string.sub": "U", "table.sort": "S"}
    assert {str(shared(**sources)) for _ in range(5)} == {str(shared(**sources))}


def test_lines_stay() -> None:
    """What is left of a module keeps its lines, but for lists."""
    _, modules = shared(m="local find =\n  string.find\n\nlocal a = 1\n-- gone\nreturn find(a,\n  a)")
    assert modules["m"] == "local a=1\nreturn F(a,a)"


def test_an_error_names_the_module() -> None:
    """And the line and the text."""
    with pytest.raises(ValueError, match=r"^two\.lua, line 2: cannot read 'the end' in 'do'$"):
        read_modules({"one": "", "two": "\ndo"})
