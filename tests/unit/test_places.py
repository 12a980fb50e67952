"""Places beside known ones, in inputs of many documents and files."""

from __future__ import annotations

import pytest

from llmroute.check.places import Places
from llmroute.diagnostic import Origin
from llmroute.source import read

_TEXT = "".join(f"---\n# {n}\nspec:\n  known: {n}\n  other: {n}\n" for n in range(50))


@pytest.mark.parametrize("number", [0, 1, 25, 49])
def test_the_document_of_the_known_place(number: int) -> None:
    """Of all that are alike it is the one in which the known value stands."""
    documents = [d for file in ("a", "b", "a") for d in read(_TEXT, file).documents]
    known = documents[50 + number].origin(("spec", "known"))
    found = Places(documents).beside(known, ("spec", "other"))
    assert found == Origin("b", 5 * number + 5, 10, ("spec", "other"))
    assert Places(documents).beside(known, ("spec", "other"), of_key=True).column == 3


def test_a_place_that_nobody_knows() -> None:
    """What stands in none of the documents, such as a default, is where it was said to be."""
    places = Places(read(_TEXT, "a").documents)
    for known in (Origin("c", 3, 1, ("spec",)), Origin("a", 3, 77, ("spec",)), Origin("a", 0, 0, ("spec",))):
        assert places.beside(known, ("spec", "x")) == Origin(known.file, known.line, known.column, ("spec", "x"))
