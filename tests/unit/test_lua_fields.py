"""Which fields get short names: those that nobody else knows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from llmroute.emit import settle
from llmroute.emit.filter_context import filter_context
from llmroute.pipeline import compile_policies
from llmroute.render.lua_fields import EXTERNAL, short_fields
from llmroute.render.lua_grammar import resolve
from llmroute.render.lua_tokens import tokenise
from llmroute.targets import ENVOY, ENVOY_GATEWAY, capabilities
from tools.examples import examples


def short(*sources: str, modules: tuple[str, ...] = ("mine",)) -> dict[str, str]:
    """The names of these sources, of which none names a local of the others."""
    read = [(source, tokenise(source)) for source in sources]
    return short_fields([(tokens, resolve(source, tokens)) for source, tokens in read], modules)


@pytest.mark.parametrize(
    ("source", "fields"),
    [
        ("local t = { size = 1 }\nreturn t.size", {"size": "s"}),
        ("local t = {}\nt.size = t.size + t.sink", {"size": "s", "sink": "s2"}),
        ("local t = {}\nfunction t.push() end\nfunction t:pull() end\nt:pull()", {"pull": "p", "push": "p2"}),
        ("function mine.push() end", {"push": "p"}),
        ("return f(x).push", {"push": "p"}),
        # What is used more comes first, then the alphabet.
        ("local t = {}\nreturn t.zoom, t.zero, t.zebra, t.zoom", {"zoom": "z", "zebra": "z2", "zero": "z3"}),
        # No gain, no change; a name that is there is not taken.
        ("local t = {}\nreturn t.s, t.size, t.so, t.so, t.s2", {"size": "s3"}),
        ("local t = {}\nreturn t.s, t.so, t.s2", {}),
        ("local t = {}\nreturn t.size, 's', 's2.s3'", {"size": "s4"} | {}),
    ],
)
def test_a_field_has_a_short_name(source: str, fields: dict[str, str]) -> None:
    """Its first letter, with a number when that is taken; however it is written."""
    assert short(source) == fields


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("local t = { size = 1 }\nreturn t.size, 'size'", "a text"),
        ('local t = { size = 1 }\nreturn t.size, "size"', "a text"),
        ("local t = { size = 1 }\nreturn t.size, [[size]]", "a text"),
        ("local t = { size = 1 }\nreturn t.size, [==[\nsize]==]", "a text"),
        ("local t = { size = 1 }\nreturn t.size, 'a.size'", "a text with a path"),
        ("local t = { size = 1 }\nreturn t.size, t['size']", "an index"),
        ("return { size = 1 }", "nobody reads it by its name"),
        ("local t = { size = true }\nreturn t.size", "a set"),
        ("local t = { 1, size = true, 2 }\nreturn t.size", "a set"),
        ("return thing.size", "a member of a global"),
        ("thing:size(1)", "a method of a global"),
        ("return thing.any.size, thing['any'].any", "a member of that"),
        ("local t = {}\nreturn t.__size", "Lua looks for such names"),
    ],
)
def test_a_field_that_others_may_know_stays(source: str, why: str) -> None:
    """What may come in by a computed name, or from outside of the script."""
    assert {name for name in short(source) if name.endswith("size")} == set(), why


@pytest.mark.parametrize("name", ["headers", "getAtIndex", "respond", "trailers", "reported", "cachedPrompt", "match"])
def test_what_comes_from_outside_keeps_its_name(name: str) -> None:
    """Envoy's methods, what the route tells the filter, and the methods of texts."""
    assert name in EXTERNAL
    assert short(f"local t = {{}}\nreturn t.{name}, t:{name}()") == {}


def test_texts_for_people_keep_no_name() -> None:
    """A word in a sentence or a pattern is no name that is computed."""
    assert short("local t = {}\nreturn t.size, 'the size of it', '^size$', '\"size\":1'") == {"size": "s"}


def test_all_sources_count() -> None:
    """One that spells a name keeps it for all, and all have one name for a field."""
    assert short("local t = {}\nreturn t.size, t.sink", "return 'size'", "return f().sink") == {"sink": "s"}


def test_the_same_sources_give_the_same() -> None:
    """Names do not depend on the order in which Python happens to hold things."""
    source = "local t = {}\nreturn t.alpha, t.beta, t.gamma, t.alps, t.gate"
    assert {str(short(source)) for _ in range(5)} == {
        "{'alpha': 'a', 'alps': 'a2', 'beta': 'b', 'gamma': 'g', 'gate': 'g2'}"
    }


def keys(value: Any) -> Iterator[str]:
    """The names of the members of what the filter is told; those of ``defaults`` are headers."""
    if isinstance(value, list):
        for one in value:
            yield from keys(one)
    elif isinstance(value, dict):
        yield from value
        for key, one in value.items():
            if key != "defaults":
                yield from keys(one)


@pytest.mark.parametrize("target", [ENVOY, ENVOY_GATEWAY])
def test_all_that_a_route_tells_the_filter_is_external(target: str) -> None:
    """No example's filter is told anything by a name that the script might have changed."""
    told: set[str] = set()
    for policy in examples():
        made = compile_policies([(policy.name, policy.read_text(encoding="utf-8"))], capabilities(target))
        for route in made.plan.routes:
            charges = settle.on_envoy(route, "cluster") if target == ENVOY else settle.on_gateway(route)
            told.update(keys(filter_context(route, charges)))
    assert {"reported", "onMissing", "cachedPrompt", "header", "models", "due", "entries"} <= told
    assert told <= EXTERNAL
