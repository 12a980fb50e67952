"""Places of fields that the plan has no place for: beside one that it has."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from llmroute.diagnostic import FieldPath, Origin
from llmroute.source import Document


def place(documents: Iterable[Document], known: Origin, path: FieldPath, *, of_key: bool = False) -> Origin:
    """Where the value at ``path`` stands (or its nearest parent) in the document in which ``known`` is a value."""
    for document in documents:
        if document.file == known.file and document.origin(known.path) == known:
            return document.origin(path, of_key=of_key)
    return dataclasses.replace(known, path=path)
