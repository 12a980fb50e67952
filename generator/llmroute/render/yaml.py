"""The one YAML writer: plain data in, text out that every YAML reader understands alike.

Block style, two spaces, sequences not indented, keys in the order given. A string is written
plain only where no reader could take it for anything else. ``Comment`` puts a line above an
entry; ``Block`` writes a text as a literal block.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from llmroute.render.scalars import resolve

_PLAIN: Final = re.compile(r"[A-Za-z_/.][A-Za-z0-9_./-]*(:[A-Za-z0-9_./-]+)*")
_ESCAPES: Final = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r", "\0": "\\0"}
_UNPRINTABLE: Final = re.compile('["\\\\\x00-\x1f\x7f-\xa0\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]')


@dataclass(frozen=True, slots=True)
class Comment:
    """``value``, with ``text`` as a comment above it."""

    text: str
    value: Any


@dataclass(frozen=True, slots=True)
class Block:
    """A text of several lines, written as a literal block."""

    text: str


@dataclass(frozen=True, slots=True)
class Verbatim:
    """A document of a stream that is a text already, ending in a newline."""

    text: str


def dump(value: Any) -> str:
    """One document without its marker, ending in a newline.

    Takes mappings with string keys, sequences, str, int, float, bool, None, ``Comment`` and
    ``Block``. Raises TypeError for anything else and ValueError for a string that YAML cannot
    hold (a lone surrogate) or a number that is not finite.
    """
    return dump_all([value])


def dump_all(documents: Iterable[Any]) -> str:
    """A stream of documents, each as ``dump`` writes it, or ``Verbatim``.

    All of it is joined at once: a block that every document has is held once until then.
    """
    return "\n".join(_stream(documents))


def join(documents: Iterable[str]) -> str:
    """A stream of documents, each ending in a newline."""
    return "---\n".join(documents)


def _stream(documents: Iterable[Any]) -> Iterator[str]:
    for number, document in enumerate(documents):
        if number:
            yield "---"
        if isinstance(document, Verbatim):
            yield document.text.removesuffix("\n")
        else:
            yield from _lines(document, "")
    yield ""  # for the last newline


def _lines(value: Any, indent: str) -> Iterator[str]:
    if isinstance(value, Comment):
        yield from _comment(value.text, indent)
        yield from _lines(value.value, indent)
    elif isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _entry(f"{_key(key)}:", item, indent, nested=f"{indent}  ")
    elif isinstance(value, Sequence) and not isinstance(value, str) and value:
        for item in value:
            yield from _item(item, indent)
    else:
        yield indent + _scalar(value)


def _entry(head: str, item: Any, indent: str, nested: str) -> Iterator[str]:
    if isinstance(item, Comment):
        yield from _comment(item.text, indent)
        item = item.value
    if isinstance(item, Block):
        yield from _block(head, item.text, indent, nested)
    elif isinstance(item, Mapping) and item:
        yield indent + head
        yield from _lines(item, nested)
    elif isinstance(item, Sequence) and not isinstance(item, str) and item:
        yield indent + head
        yield from _lines(item, indent)
    else:
        yield f"{indent}{head} {_scalar(item)}"


def _item(item: Any, indent: str) -> Iterator[str]:
    if isinstance(item, Comment):
        yield from _comment(item.text, indent)
        item = item.value
    lines = _lines(item, f"{indent}  ")
    first = next(lines)
    if first.lstrip().startswith("#"):  # a comment on the first entry stands above the dash
        while first.lstrip().startswith("#"):
            yield indent + first.lstrip()
            first = next(lines)
    yield f"{indent}- {first.lstrip()}"
    yield from lines


def _comment(text: str, indent: str) -> Iterator[str]:
    for line in text.splitlines():
        yield f"{indent}# {line}".rstrip()


def _block(head: str, text: str, indent: str, nested: str) -> Iterator[str]:
    body = _literal(text, nested)
    if body is None:
        yield f"{indent}{head} {_scalar(text)}"
    else:
        yield f"{indent}{head} {'|' if text.endswith(chr(10)) else '|-'}"
        yield body


@functools.lru_cache(maxsize=8)  # a script of 1,600 lines is in every route
def _literal(text: str, nested: str) -> str | None:
    """The lines of a literal block; None where it cannot hold the text."""
    body = text.removesuffix("\n")
    blank = not body or body[0] in " \n" or body != body.rstrip("\n")
    if blank or any(c != "\n" and _UNPRINTABLE.fullmatch(c) and c not in '"\\' for c in set(text)):
        return None
    return "\n".join(nested + line if line else "" for line in body.split("\n"))


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise TypeError(f"a key must be a string, not {key!r}")
    return _scalar(key)


def _scalar(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(int(value))
        case float():
            return _float(value)
        case str():
            return _string(str(value))
        case Mapping() if not value:
            return "{}"
        case Sequence() if not value:
            return "[]"
    raise TypeError(f"cannot write {type(value).__name__} as YAML")


def _float(value: float) -> str:
    if value != value or value in (float("inf"), float("-inf")):  # noqa: PLR0124 NaN is what differs from itself
        raise ValueError(f"{value} has no place in a manifest")
    text = repr(value)
    # Readers disagree on an exponent without a point ("1e16"): YAML 1.1 calls it a string.
    if "e" in text and "." not in text:
        text = text.replace("e", ".0e")
    return text


def _string(text: str) -> str:
    if _PLAIN.fullmatch(text) and isinstance(resolve(text), str):
        return text
    return '"' + _UNPRINTABLE.sub(_escape, text) + '"'


def _escape(match: re.Match[str]) -> str:
    char = match[0]
    if char in _ESCAPES:
        return _ESCAPES[char]
    code = ord(char)
    if 0xD800 <= code <= 0xDFFF:
        raise ValueError("a lone surrogate cannot be written")
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
