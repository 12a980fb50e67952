"""Typed reads out of the JSON that a script header holds, each with an error that names the field."""

from __future__ import annotations

import json
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any


class ScriptError(ValueError):
    """A script header that cannot be obeyed; the message names the field."""


def document(text: str, names: AbstractSet[str]) -> Mapping[str, Any]:
    """The object that ``text`` holds.

    Raises:
        ScriptError: no JSON, no object, or a key beyond ``names``.
    """
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ScriptError(f"the script is not JSON: {error}") from error
    return known(value, names, "the script")


def known(value: Any, names: AbstractSet[str], where: str) -> Mapping[str, Any]:
    """``value``, which must be an object without keys beyond ``names``."""
    if not isinstance(value, dict):
        raise ScriptError(f"{where}: an object is needed")
    if unknown := sorted(value.keys() - names):
        raise ScriptError(f"{where}: unknown field {', '.join(unknown)}")
    return value


def integer(item: Mapping[str, Any], key: str, default: int, least: int = 0) -> int:
    """A whole number of at least ``least``."""
    value = item.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ScriptError(f"{key}: a whole number >= {least} is needed")
    return value


def name(item: Mapping[str, Any], key: str) -> str | None:
    """A string that is not empty, or None where it is left out."""
    value = item.get(key)
    if value is None or (isinstance(value, str) and value):
        return value
    raise ScriptError(f"{key}: a name is needed")


def flag(item: Mapping[str, Any], key: str) -> bool:
    """A boolean, false where it is left out."""
    value = item.get(key, False)
    if not isinstance(value, bool):
        raise ScriptError(f"{key}: true or false is needed")
    return value


def headers(item: Mapping[str, Any], field: str = "headers") -> Mapping[str, str]:
    """An object of headers: names in lower case, values that fit on one line."""
    value = item.get(field, {})
    if not isinstance(value, dict):
        raise ScriptError(f"{field}: an object is needed")
    for key, text in value.items():
        if not isinstance(text, str) or any(c in text for c in "\r\n\0"):
            raise ScriptError(f"{field}.{key}: a string of one line is needed")
    return {key.lower(): text for key, text in value.items()}
