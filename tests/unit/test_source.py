"""Reading a stream: positions, verbatim text, and what is wrong with it as YAML."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from llmroute.source import read


def test_documents_keep_their_text_and_places() -> None:
    """Comments, markers and a null document at the end: each document is its own text."""
    text = "# head\na:\n  b: [1, 2]\n---\n# second\nc: d\n...\n---\n"
    first, second = read(text, "f").documents
    assert (first.text, first.value) == ("# head\na:\n  b: [1, 2]\n", {"a": {"b": [1, 2]}})
    assert (second.text, second.value) == ("# second\nc: d\n", {"c": "d"})
    assert str(first.origin(("a", "b", 1))) == "f:3:10"
    assert str(first.origin(("a", "b"), of_key=True)) == "f:3:3"
    assert str(first.origin(("a", "x", "y"))) == "f:3:3", "the nearest parent that exists"


@pytest.mark.parametrize(
    ("text", "place", "code"),
    [
        ("a: b: c\n", "f:1:5", "LR001"),
        ("\ta: 1\n", "f:1:1", "LR001"),
        ("a: [1\n", "f:2:1", "LR001"),
        ("a: 1\nb:\n  c: 1\n  c: 2\n", "f:4:3", "LR002"),
        ("&a [*a]\n", "f:1:1", "LR001"),
        ("? [x]\n: 1\n", "f:1:3", "LR001"),
        ("\x01", "f", "LR001"),
    ],
)
def test_what_is_wrong_as_yaml(text: str, place: str, code: str) -> None:
    """One finding with its place; never an exception."""
    (finding,) = read(text, "f").diagnostics
    assert (str(finding.origin), finding.code.id) == (place, code)


def test_aliases_of_aliases_end() -> None:
    """A short file that stands for billions of values is refused, soon."""
    text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    text += "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10))
    (finding,) = read(text, "f").diagnostics
    assert finding.code.id == "LR001"


def test_deep_nesting_is_a_finding() -> None:
    """Nesting that no parser can follow is said, not crashed on."""
    (finding,) = read("[" * 100_000, "f").diagnostics
    assert finding.code.id == "LR001"


@given(st.text(max_size=60))
def test_never_raises(text: str) -> None:
    """Whatever is fed in, there is an answer."""
    read(text, "f")


_DOCUMENTS = st.lists(
    st.dictionaries(
        st.text("abc", min_size=1), st.integers() | st.text("xz #:é-'\n") | st.lists(st.booleans()), min_size=1
    ),
    min_size=1,
    max_size=5,
)


@settings(deadline=None)
@given(_DOCUMENTS, st.booleans())
def test_the_texts_are_the_stream(values: list[dict[str, object]], explicit: bool) -> None:
    """Each document's text, read alone, is that document."""
    text = yaml.safe_dump_all(values, explicit_start=explicit, allow_unicode=True)
    documents = read(text, "f").documents
    assert [d.value for d in documents] == values
    assert [yaml.safe_load(d.text) for d in documents] == values


def test_a_block_that_keeps_its_end_keeps_it() -> None:
    """Blank lines at a document's end may be content."""
    first, second = read("a: |+\n  x\n\n\n---\nb: 1\n", "f").documents
    assert yaml.safe_load(first.text) == first.value == {"a": "x\n\n\n"}
    assert second.value == {"b": 1}
