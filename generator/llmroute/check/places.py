"""Places of fields that the plan has no place for: beside one that it has."""

from __future__ import annotations

import dataclasses
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable

from llmroute.diagnostic import FieldPath, Origin
from llmroute.source import Document


class Places:
    """Finds places in ``documents``, the whole input: by their lines, as it may have thousands."""

    def __init__(self, documents: Iterable[Document]) -> None:
        self._by_file = defaultdict[str, list[tuple[int, Document]]](list)
        for document in documents:
            self._by_file[document.file].append((document.origin().line, document))
        for begun in self._by_file.values():
            begun.sort(key=_line)  # a file that is given twice begins again

    def beside(self, known: Origin, path: FieldPath, *, of_key: bool = False) -> Origin:
        """Where the value at ``path`` stands (or its nearest parent) in the document in which ``known`` is a value."""
        begun = self._by_file.get(known.file, [])
        at = bisect_right(begun, known.line, key=_line)
        if at and (document := begun[at - 1][1]).origin(known.path) == known:
            return document.origin(path, of_key=of_key)
        return dataclasses.replace(known, path=path)


def _line(begun: tuple[int, Document]) -> int:
    return begun[0]
