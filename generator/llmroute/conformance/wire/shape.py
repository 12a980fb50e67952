"""Typed reads out of a fixture file. Every error names the file and the place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

_FastLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class WireError(ValueError):
    """A fixture file that says something nobody reads, or leaves out what must be said."""


class _Loader(_FastLoader):  # type: ignore[misc]  # libyaml's where there is one
    """Refuses a key that stands twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
        """The mapping of a node."""
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise WireError(f"line {key.start_mark.line + 1}: {key.value} stands twice")
            seen.add(key.value)
        return dict(super().construct_mapping(node, deep))


def document(text: str, file: str) -> Place:
    """The one document of a file.

    Raises:
        WireError: it is no YAML, or a key stands twice.
    """
    try:
        return Place(file, "", yaml.load(text, _Loader))  # noqa: S506 it is a safe loader
    except WireError as error:
        raise WireError(f"{file}: {error}") from error
    except yaml.YAMLError as error:
        raise WireError(f"{file}: {error}") from error


_MISSING: Final = object()


@dataclass(frozen=True, slots=True)
class Place:
    """A value and where it stands."""

    file: str
    path: str
    value: Any

    def fail(self, message: str) -> WireError:
        """An error about this place."""
        return WireError(f"{self.file}: {self.path or 'the document'}: {message}")

    def only(self, *names: str) -> Place:
        """Itself, when it is a mapping without other keys."""
        if not isinstance(self.value, dict):
            raise self.fail("a mapping is needed")
        if unknown := sorted(str(name) for name in self.value.keys() - set(names)):
            raise self.fail(f"unknown key {', '.join(unknown)}")
        return self

    def has(self, name: str) -> bool:
        """Whether the mapping has a member."""
        return name in self.value

    def at(self, name: str, default: Any = _MISSING) -> Place:
        """A member of a mapping."""
        value = self.value.get(name, default)
        if value is _MISSING:
            raise self.fail(f"{name} is missing")
        return Place(self.file, f"{self.path}.{name}" if self.path else name, value)

    def each(self) -> list[Place]:
        """The items of a list."""
        if not isinstance(self.value, list):
            raise self.fail("a list is needed")
        return [Place(self.file, f"{self.path}[{index}]", item) for index, item in enumerate(self.value)]

    def text(self) -> str:
        """A string that is not empty."""
        if not isinstance(self.value, str) or not self.value:
            raise self.fail("text is needed")
        return self.value

    def flag(self) -> bool:
        """True or false."""
        if not isinstance(self.value, bool):
            raise self.fail("true or false is needed")
        return self.value

    def count(self) -> int:
        """A whole number that is not negative."""
        if isinstance(self.value, bool) or not isinstance(self.value, int) or self.value < 0:
            raise self.fail("a whole number is needed")
        return self.value

    def one_of(self, *words: str) -> str:
        """One of these words."""
        if self.value not in words:
            raise self.fail(f"one of {', '.join(words)} is needed")
        return str(self.value)

    def strings(self) -> Mapping[str, str]:
        """A mapping of text to text."""
        if not isinstance(self.value, dict):
            raise self.fail("a mapping is needed")
        return {name: self.at(name).text() for name in self.value}
