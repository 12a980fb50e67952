"""The squeezer of Lua: what each rule of scopes and of tokens gives, to the byte."""

from __future__ import annotations

import pytest

from llmroute.render.lua_squeeze import squeeze
from llmroute.render.lua_tokens import Kind, tokenise
from tests.unit.bytecode import checked


@pytest.mark.parametrize(
    ("source", "small"),
    [
        ("local handle, headers = 1, 2\nreturn handle + headers", "local h,h2=1,2\nreturn h+h2"),
        # Known only after its statement: the right side means a global, then the first local.
        ("local size = size\nreturn size", "local s=size\nreturn s"),
        ("local one = 1\nlocal one = one + 1\nreturn one", "local o=1\nlocal o=o+1\nreturn o"),
        ("local all = 1\nlocal any = all\nreturn any", "local a=1\nlocal a=a\nreturn a"),
        ("local all = 1\nlocal any = all\nreturn any, all", "local a=1\nlocal a2=a\nreturn a2,a"),
        # A function that is local knows itself, one that a local is set to does not.
        ("local function fold(n) return fold(n - 1) end", "local function f(n)return f(n-1)end"),
        ("local fold = function(n) return fold(n - 1) end", "local f=function(n)return fold(n-1)end"),
        ("local fold\nfunction fold() return fold() end", "local f\nfunction f()return f()end"),
        ("function fold() return fold() end", "function fold()return fold()end"),
    ],
)
def test_locals_are_known_after_their_statement(source: str, small: str) -> None:
    """A local is known from the statement after its own on, a local function in itself as well."""
    assert checked(source) == small


@pytest.mark.parametrize(
    ("source", "small"),
    [
        ("local tab = {}\nfunction tab.run(value) tab.value = value end", "local t={}function t.run(v)t.value=v end"),
        ("local tab = {}\nfunction tab:run(v) self.v = v end", "local t={}function t:run(v)self.v=v end"),
        ("function tab.run(self, s) return self, s end", "function tab.run(s,s2)return s,s2 end"),
        ("function tab:run(self) return self end", "function tab:run(s)return s end"),
        (
            "function tab.a.b:run(size, ...) return self, size, ... end",
            "function tab.a.b:run(s,...)return self,s,...end",
        ),
        ("return function(...) return ... end", "return function(...)return...end"),
        ("f(function(body) return body end)", "f(function(b)return b end)"),
        # Inner functions see what is around them, and hide what they do not use.
        (
            "local out = 1\nlocal function put(old) return function(only) return out + only end end",
            "local o=1\nlocal function p(o2)return function(o2)return o+o2 end end",
        ),
        ("local body = 1\nreturn function(body) return body end, body", "local b=1\nreturn function(b)return b end,b"),
        # Lua 5.1 has a hidden local of this name where there are more arguments; LuaJIT looks for the others.
        ("local arg = 1\nreturn function(...) return arg end", "local arg=1\nreturn function(...)return arg end"),
        ("local pairs, p = pairs\nfor k in pairs(p) do f(k) end", "local pairs,p=pairs\nfor k in pairs(p)do f(k)end"),
        ("local next, n = next\nfor k in next, n do f(k) end", "local next,n=next\nfor k in next,n do f(k)end"),
    ],
)
def test_parameters_and_functions(source: str, small: str) -> None:
    """Parameters are renamed in their function; the self that a colon brings is not."""
    assert checked(source) == small


@pytest.mark.parametrize(
    ("source", "small"),
    [
        ("for index = index, 9, index do f(index) end", "for i=index,9,index do f(i)end"),
        ("for key, kind in pairs(kind) do f(key, kind) end", "for k,k2 in pairs(kind)do f(k,k2)end"),
        ("for _, name in pairs(t) do f(name) end\nf(name)", "for _,n in pairs(t)do f(n)end\nf(name)"),
        ("local _, _, stop = f()\nreturn stop", "local _,_,s=f()return s"),
        ("repeat local done = f() until done\nf(done)", "repeat local d=f()until d\nf(done)"),
        ("local on = 1\nrepeat local on = 2 until on\nf(on)", "local o=1\nrepeat local o=2 until o\nf(o)"),
        ("do local at = 1 f(at) end f(at)", "do local a=1 f(a)end f(at)"),
        ("while at do local at = 1 f(at) break end f(at)", "while at do local a=1 f(a)break end f(at)"),
        (
            "if x then local at = 1 f(at) elseif at then local any = 2 f(any, at) else local all = at end f(at)",
            "if x then local a=1 f(a)elseif at then local a=2 f(a,at)else local a=at end f(at)",
        ),
    ],
)
def test_blocks_and_loops(source: str, small: str) -> None:
    """What a block declares ends with it; the condition of ``repeat`` still knows it."""
    assert checked(source) == small


@pytest.mark.parametrize(
    ("source", "small"),
    [
        # Not taken: a global that is used in scope, and a global function that is set there.
        ("local name = 1\nreturn name, n", "local n2=1\nreturn n2,n"),
        (
            "local name, nick = 1\nfunction n() return name, n2, nick end",
            "local n3,n4=1\nfunction n()return n3,n2,n4 end",
        ),
        # A global that is used before or outside may be hidden.
        ("f(n)\nlocal name = n\nreturn name", "f(n)local n=n\nreturn n"),
        # Not taken: a local around that is used in scope, even by a function in it alone.
        (
            "local all = 1\nlocal any = 2\nreturn function() return all + any end",
            "local a=1\nlocal a2=2\nreturn function()return a+a2 end",
        ),
        # What an inner one hides is used again after it.
        ("local at = 1\ndo local any = 2 f(any) end\nf(at)", "local a=1\ndo local a=2 f(a)end\nf(a)"),
        # The names of one list differ though the first is never used.
        ("local function f(all, any) return any end", "local function f(a,a2)return a2 end"),
        # A long name may come short of an old short one; that one gives way then.
        ("local count, c = 1, 2\nreturn count, c", "local c,c2=1,2\nreturn c,c2"),
        ("local MAX, max, _G1 = 1, 2, 3\nreturn MAX, max, _G1", "local M,m,_=1,2,3\nreturn M,m,_"),
    ],
)
def test_short_names_hide_nothing_that_is_used(source: str, small: str) -> None:
    """The first letter, with a number when that letter is the name of anything that is used in scope."""
    assert checked(source) == small


@pytest.mark.parametrize(
    ("source", "small"),
    [
        ("local name = 1\nreturn { name = name, [name] = name, name }", "local n=1\nreturn{name=n,[n]=n,n}"),
        ("local name = {}\nreturn { name == 1; name.name; name = 2 }", "local n={}return{n==1;n.name;name=2}"),
        ("local name = {}\nname.name = name\nname = name.name", "local n={}n.name=n\nn=n.name"),
        ("local name = {}\nname:name(name)\nname.name:name 'name'", "local n={}n:name(n)n.name:name'name'"),
        ("local name = 1\nx[name], x.name = name, x . name", "local n=1\nx[n],x.name=n,x.name"),
        ("local name = {}\nname { name = name }", "local n={}n{name=n}"),
        ("local name = f;\n(name or name)(name)", "local n=f;(n or n)(n)"),
    ],
)
def test_fields_keys_and_methods_stay(source: str, small: str) -> None:
    """Only what is a variable is renamed: no field, no method, no key of a table."""
    assert checked(source) == small


@pytest.mark.parametrize(
    ("source", "small"),
    [
        ("x = a - -b", "x=a- -b"),
        ("x = a - - -b", "x=a- - -b"),
        ("x = a --[[ b ]] - b", "x=a-b"),
        ("x = 1 .. 2 .. a .. .5 .. '' .. 0x1F .. -1", "x=1 ..2 ..a.. .5 ..''..0x1F ..-1"),
        ("f(...)\nx = ... .. ...", "f(...)x=..... ..."),
        ("x = 1 and 2 or not y", "x=1 and 2 or not y"),
        ("x = a[ [[k]] ]", "x=a[ [[k]]]"),
        ("x = a[b[ [==[k]==] ] ]", "x=a[b[ [==[k]==]]]"),
        ("x = a <= b == c ~= d < e", "x=a<=b==c~=d<e"),
        ("x = 1 y = 3. z = 'a' w = 1e-5", "x=1 y=3. z='a'w=1e-5"),
        ("if a then return end", "if a then return end"),
        ("return", "return"),
        ("", ""),
    ],
)
def test_blanks_stay_where_tokens_need_them(source: str, small: str) -> None:
    """A blank goes unless its two neighbours would be other tokens, or none, without it."""
    assert checked(source) == small
    assert [token.text for token in tokenise(small)] == [token.text for token in tokenise(source)]


def test_line_ends_stay_where_blanks_have_to_and_comments_go() -> None:
    """Comments and lines without tokens go, strings stay to the byte."""
    source = (
        "-- gone\n\n  local text = '--  kept' -- gone\n--[[ gone\n gone ]] --[==[ ]] ]==]\n"
        'local quote = "\\"--[[" .. text\n\nlocal long = [==[\n  -- ]] kept\n\n]==] -- gone\n'
        "f(text, --[[ gone\n]] quote,\n  long)\n-- gone"
    )
    assert checked(source) == ('local t=\'--  kept\'local q="\\"--[["..t\nlocal l=[==[\n  -- ]] kept\n\n]==]f(t,q,l)')


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x = 1\ngoto done", "line 2: cannot read 'goto' in 'goto done'"),
        ("local goto = 1", "line 1: cannot read 'goto' in 'local goto = 1'"),
        ("x = 1\n::done::", "line 2: cannot read ':' in '::done::'"),
        ("\n\n local x <const> = 1", "line 3: cannot read '<' in 'local x <const> = 1'"),
        ("x = a // b", "line 1: cannot read '/' in 'x = a // b'"),
        ("x = a & b", "line 1: cannot read '&' in 'x = a & b'"),
        ("x = a ~ b", "line 1: cannot read '~' in 'x = a ~ b'"),
        ("x = 10LL", "line 1: cannot read '1' in 'x = 10LL'"),
        ("x = 1..2", "line 1: cannot read '1' in 'x = 1..2'"),
        ("x = 'a\nb'", 'line 1: cannot read "\'" in "x = \'a"'),
        ("x = 1 --[[ no end", "line 1: cannot read '-' in 'x = 1 --[[ no end'"),
        ("x = [==[ no end ]]", "line 1: cannot read '[' in 'x = [==[ no end ]]'"),
        ("x = é", "line 1: cannot read 'é' in 'x = é'"),
        ("f\u00a0()", "line 1: cannot read '\\xa0' in 'f\\xa0()'"),
        ("if a then\nx = 1", "line 2: cannot read 'the end' in 'x = 1'"),
        ("do end end", "line 1: cannot read 'end' in 'do end end'"),
        ("a.b", "line 1: cannot read 'the end' in 'a.b'"),
        ("for a, b = 1, 2 do end", "line 1: cannot read '=' in 'for a, b = 1, 2 do end'"),
        ("return function(a,) end", "line 1: cannot read ')' in 'return function(a,) end'"),
        ("x = {a = }", "line 1: cannot read '}' in 'x = {a = }'"),
    ],
)
def test_what_is_no_lua51_is_an_error(source: str, message: str) -> None:
    """What it cannot read it does not guess at: the error names the line and the text."""
    with pytest.raises(ValueError, match="cannot read") as raised:
        squeeze(source)
    assert str(raised.value) == message


def test_same_source_gives_the_same() -> None:
    """Names depend on the source alone, not on the order in which Python happens to hold things."""
    source = "local beta, alpha, bravo = 1, 2, 3\nreturn function(b) return beta, alpha, bravo, b end"
    assert {squeeze(source) for _ in range(5)} == {
        "local b,a,b2=1,2,3\nreturn function(b3)return b,a,b2,b3 end",
    }


def test_kinds_of_tokens() -> None:
    """Each kind, with the line on which it begins and ends."""
    tokens = tokenise("x =\n[[\n]] .. 1 end")
    assert [(t.kind, t.line, t.last_line) for t in tokens] == [
        (Kind.NAME, 1, 1),
        (Kind.SYMBOL, 1, 1),
        (Kind.STRING, 2, 3),
        (Kind.SYMBOL, 3, 3),
        (Kind.NUMBER, 3, 3),
        (Kind.KEYWORD, 3, 3),
        (Kind.END, 3, 3),
    ]
