"""A strict reader for the YAML of a rate limit configuration: mappings whose fields are asked for by type."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import yaml

_TAG: Final = "tag:yaml.org,2002:"
_TRUE: Final = frozenset({"yes", "true", "on"})
_NUMBER: Final = re.compile(r"0|[1-9][0-9]*")


class ConfigError(ValueError):
    """A rate limit configuration that cannot be served as written; the message names file and line."""


def read(text: str, file: str) -> Fields:
    """Read the one mapping that ``text`` holds; ``file`` is the name to say in errors.

    Raises:
        ConfigError: when it is not one YAML mapping, or nested without end.
    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{file}{line}: not YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{file}: not YAML: {error}") from error
    except RecursionError as error:
        raise ConfigError(f"{file}: nested too deeply") from error
    if node is None:
        raise ConfigError(f"{file}: the configuration is empty")
    return Fields(node, file, ())


class Fields:
    """One mapping of the document. A field that is missing or null reads as empty: ``""``, False, None.

    Every method raises ``ConfigError`` for a value of another type.
    """

    def __init__(self, node: yaml.Node, file: str, ancestors: tuple[yaml.Node, ...]) -> None:
        self._node = node
        self._file = file
        self._ancestors = (*ancestors, node)
        if node in ancestors:
            raise self.error("an alias may not contain itself")
        if not isinstance(node, yaml.MappingNode):
            raise self.error("a mapping is expected here")
        self._values: dict[str, yaml.Node] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise self.error("a key must be a string", key)
            if key.value in self._values:
                raise self.error(f"the key {key.value!r} stands here twice", key)
            self._values[key.value] = value

    def error(self, message: str, node: yaml.Node | None = None) -> ConfigError:
        """Make the error to raise about this mapping, or about a part of it."""
        mark = (node or self._node).start_mark
        return ConfigError(f"{self._file}:{mark.line + 1}: {message}")

    def only(self, *known: str, without: tuple[str, ...] = ()) -> None:
        """Refuse every key that is not ``known``; those in ``without`` exist but are not supported."""
        for key, value in self._values.items():
            if key in without:
                raise self.error(f"{key!r} is not supported by this rate limit service", value)
            if key not in known:
                raise self.error(f"unknown key {key!r}; known are {', '.join(known)}", value)

    def text(self, name: str) -> str:
        """Give a string; whole numbers and booleans are taken as they are written."""
        node = self._values.get(name)
        if node is None or _is(node, "null"):
            return ""
        if not isinstance(node, yaml.ScalarNode) or _is(node, "float"):
            raise self.error(f"{name!r} must be a string; put quotes around it", node)
        return str(node.value)

    def flag(self, name: str) -> bool:
        """Give a boolean."""
        node = self._values.get(name)
        if node is None or _is(node, "null"):
            return False
        if not isinstance(node, yaml.ScalarNode) or not _is(node, "bool"):
            raise self.error(f"{name!r} must be true or false", node)
        return node.value.lower() in _TRUE

    def number(self, name: str, highest: int) -> int:
        """Give a whole number from 0 to ``highest``, written in decimal; it has to be there."""
        node = self._values.get(name)
        plain = isinstance(node, yaml.ScalarNode) and node.style is None and _NUMBER.fullmatch(node.value)
        value = int(node.value) if plain and node is not None else -1
        if not 0 <= value <= highest:
            raise self.error(f"{name!r} must be a whole number from 0 to {highest}", node)
        return value

    def mapping(self, name: str) -> Fields | None:
        """Give a mapping."""
        node = self._values.get(name)
        return None if node is None or _is(node, "null") else Fields(node, self._file, self._ancestors)

    def items(self, name: str) -> Iterator[Fields]:
        """Give the mappings of a list, in order."""
        node = self._values.get(name)
        if node is None or _is(node, "null"):
            return
        if not isinstance(node, yaml.SequenceNode):
            raise self.error(f"{name!r} must be a list", node)
        for item in node.value:
            yield Fields(item, self._file, self._ancestors)


def _is(node: yaml.Node, kind: str) -> bool:
    return bool(node.tag == _TAG + kind)
