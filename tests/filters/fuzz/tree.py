"""Where things stand in a JSON text, by Python's own ``json``: the oracle's only reader of JSON.

A text is read as Latin-1, so that an index is an index of bytes and every byte is a character: what JSON is does
not depend on bytes above 127.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from json import decoder
from typing import Any, Final

BLANKS: Final = " \t\r\n"
_scan_string: Final = vars(decoder)["scanstring"]
_DECODER: Final = json.JSONDecoder(strict=False, parse_int=float)


@dataclass(frozen=True, slots=True)
class Member:
    """One member of an object: its key as it reads, where the key and the value begin and where the value ends."""

    key: str
    start: int
    value: int
    stop: int


def solid(text: str, at: int) -> int:
    """The first index from ``at`` on that is no blank."""
    while at < len(text) and text[at] in BLANKS:
        at += 1
    return at


def value_end(text: str, at: int) -> int:
    """Where the value that begins at ``at`` ends.

    Raises:
        ValueError: when there is none.
    """
    return _DECODER.raw_decode(text, at)[1]


def members(text: str, at: int) -> list[Member]:
    """All members of the object at ``at``, in their order; none when it is no object. It is known to be JSON."""
    found: list[Member] = []
    if text[at : at + 1] != "{":
        return found
    at = solid(text, at + 1)
    while text[at] == '"':
        start = at
        key, at = _scan_string(text, at + 1, False)  # noqa: FBT003 - it takes no keywords
        value = solid(text, solid(text, at) + 1)
        stop = value_end(text, value)
        found.append(Member(key, start, value, stop))
        at = solid(text, solid(text, stop) + 1)
        if text[solid(text, stop)] == "}":
            break
    return found


def last(text: str, at: int) -> dict[str, Member]:
    """The members by name; of repeated ones the last."""
    return {member.key: member for member in members(text, at)}


def whole(text: str) -> int | None:
    """Where the object begins that is all of the text, or None when it is no such text."""
    start = solid(text, 0)
    try:
        stop = value_end(text, start)
    except (ValueError, RecursionError):
        return None
    return start if text[start] == "{" and solid(text, stop) == len(text) else None


def loads(text: str) -> Any:
    """What Python reads."""
    return _DECODER.decode(text)
