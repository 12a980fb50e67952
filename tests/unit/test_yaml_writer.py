"""What the one YAML writer writes, every reader reads back alike."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from llmroute.render.yaml import Block, Comment, Verbatim, dump, dump_all, join
from llmroute.source import read

_TEXT = st.text(st.characters(exclude_categories=["Cs"]))
_WORDS = st.sampled_from(
    ["y", "on", "No", "null", "~", "1e3", "0o17", "1_0", "0x1", "-", "a: b", "#c", "12:30", "=", "<<"]
)
_SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _TEXT | _WORDS
_DATA = st.recursive(_SCALARS, lambda inner: st.lists(inner) | st.dictionaries(_TEXT | _WORDS, inner), max_leaves=20)


@given(_DATA)
def test_round_trip_through_two_readers(value: Any) -> None:
    """PyYAML's YAML 1.1 and our reader of Kubernetes' YAML both give back what was written."""
    text = dump(value)
    assert yaml.safe_load(text) == value
    (document,) = read(text, "f").documents or [None]
    assert (document.value if document else None) == value


@given(st.lists(_DATA.filter(lambda v: v is not None), min_size=1, max_size=4))
def test_streams(values: list[Any]) -> None:
    """A joined stream has the documents that were put in."""
    assert list(yaml.safe_load_all(join(dump(v) for v in values))) == values


@given(st.lists(_DATA.filter(lambda v: v is not None), min_size=1, max_size=4))
def test_a_stream_at_once(values: list[Any]) -> None:
    """The same as its documents one by one, whether they are data or a text already."""
    texts = [dump(value) for value in values]
    mixed = [Verbatim(text) if n % 2 else value for n, (value, text) in enumerate(zip(values, texts, strict=True))]
    assert dump_all(mixed) == join(texts)


@given(_TEXT)
def test_a_block_keeps_every_character(text: str) -> None:
    """A literal block where that is possible, a quoted string where not: the text is the same."""
    assert yaml.safe_load(dump({"a": {"b": Block(text)}})) == {"a": {"b": text}}


def test_comments_stand_above_their_entry() -> None:
    """Comments change nothing that a reader sees, and stand above what they are about."""
    value = {"a": Comment("one\ntwo", [Comment("item", {"x": 1}), {"z": Comment("deep", 2)}])}
    text = dump(value)
    assert text == "# one\n# two\na:\n# item\n- x: 1\n# deep\n- z: 2\n"
    assert yaml.safe_load(text) == {"a": [{"x": 1}, {"z": 2}]}


@pytest.mark.parametrize("value", [object(), {1: 2}, {"a": {1, 2}}])
def test_refuses_what_is_no_data(value: Any) -> None:
    """Nothing is written by guess."""
    with pytest.raises(TypeError):
        dump(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800"])
def test_refuses_what_a_manifest_cannot_hold(value: Any) -> None:
    """No NaN, no infinity, no lone surrogate."""
    with pytest.raises(ValueError, match=r"no place|surrogate"):
        dump(value)
