"""The bodies of answers, written as their servers write them.

A body is one of these; the first line is the key, the rest what may stand beside it::

    json      any value, compact; ``indent`` spreads it over lines
    text      as it stands
    base64    bytes that are no text
    events    of an event stream, each JSON, text, ``raw`` text, or ``{event, data}``; ``end`` is the line end (lf,
              crlf, cr), ``space: false`` leaves out the blank after the colon, ``bom`` leads, ``open: 1`` leaves
              out the last line end, ``open: 2`` both
    lines     of JSON
    array     of JSON, as Google streams it
    messages  of a binary stream, each one key, the kind of the event, and its payload; ``exception: kind`` marks
              one that tells an error
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from typing import Final

from llmroute.conformance.wire import messages
from llmroute.conformance.wire.fixture import compact
from llmroute.conformance.wire.shape import Place

_ENDS: Final = {"lf": "\n", "crlf": "\r\n", "cr": "\r"}
_TYPES: Final = {
    "events": "text/event-stream; charset=utf-8",
    "lines": "application/x-ndjson",
    "messages": "application/vnd.amazon.eventstream",
}
KEYS: Final = ("json", "text", "base64", "events", "lines", "array", "messages")
OPTIONS: Final = ("indent", "end", "space", "bom", "open")


def content_type(answer: Place) -> str:
    """The type that the answer says, or the one that goes with its kind."""
    return answer.at("type", _TYPES.get(_kind(answer), "application/json")).text()


def write(answer: Place) -> bytes:
    """The bytes of a body."""
    kind = _kind(answer)
    return _WRITERS[kind](answer, answer.at(kind))


def _kind(answer: Place) -> str:
    kinds = [key for key in KEYS if answer.has(key)]
    if len(kinds) != 1:
        raise answer.fail(f"one of {', '.join(KEYS)} is needed")
    return kinds[0]


def _json(answer: Place, value: Place) -> bytes:
    if not answer.has("indent"):
        return compact(value.value)
    return json.dumps(value.value, indent=answer.at("indent").count(), ensure_ascii=False).encode()


def _text(_: Place, value: Place) -> bytes:
    return value.text().encode()


def _base64(_: Place, value: Place) -> bytes:
    try:
        return base64.b64decode(value.text(), validate=True)
    except binascii.Error as error:
        raise value.fail(str(error)) from error


def _events(answer: Place, value: Place) -> bytes:
    end = _ENDS[answer.at("end", "lf").one_of(*_ENDS)]
    colon = ": " if answer.at("space", default=True).flag() else ":"
    text = "".join(_event(item, colon) for item in value.each())
    text = text.removesuffix("\n" * answer.at("open", 0).count())
    bom = "\ufeff" if answer.at("bom", default=False).flag() else ""
    return (bom + text.replace("\n", end)).encode()


def _event(item: Place, colon: str) -> str:
    """One event. Data of several lines becomes as many fields."""
    value = item.value
    if isinstance(value, dict) and set(value) == {"raw"}:
        return item.at("raw").text()
    name = ""
    if isinstance(value, dict) and set(value) == {"event", "data"}:
        name, value = f"event{colon}{item.at('event').text()}\n", value["data"]
    data = value if isinstance(value, str) else compact(value).decode()
    return name + "".join(f"data{colon}{line}\n" for line in data.split("\n")) + "\n"


def _lines(_: Place, value: Place) -> bytes:
    return b"".join(compact(item.value) + b"\n" for item in value.each())


def _array(_: Place, value: Place) -> bytes:
    items = [json.dumps(item.value, indent=2, ensure_ascii=False) for item in value.each()]
    return ("[" + "\n,\r\n".join(items) + "\n]").encode()


def _messages(_: Place, value: Place) -> bytes:
    return b"".join(_message(item) for item in value.each())


def _message(item: Place) -> bytes:
    names = [name for name in item.value if name != "exception"] if isinstance(item.value, dict) else []
    if item.has("exception") and names == ["payload"]:
        return messages.exception(item.at("exception").text(), compact(item.at("payload").value))
    if item.has("exception") or len(names) != 1:
        raise item.fail("the kind of an event and its payload are needed")
    return messages.event(names[0], compact(item.value[names[0]]))


_WRITERS: Final[Mapping[str, Callable[[Place, Place], bytes]]] = {
    "json": _json,
    "text": _text,
    "base64": _base64,
    "events": _events,
    "lines": _lines,
    "array": _array,
    "messages": _messages,
}
