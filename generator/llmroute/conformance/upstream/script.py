r"""What a request may command of the upstream: one header, ``x-llmroute-script``, that holds JSON.

The JSON is an object; every field is optional, unknown ones are refused (the answer is a 400 that says so)::

    {
      "status": 503,                            // 200 where it is left out
      "headers": {"retry-after": "1"},          // added to the answer, or in place of its own
      "body": {"any": "JSON"} | "as it stands", // the whole body, with its content-length
      "usage": {"total_tokens": 9} | null | "absent" | "default",
      "deltas": 3,                              // streamed deltas with content; 10 by default
      "delta_delay_ms": 100,                    // before each delta but the first
      "chunks": [                               // the body, in exactly these pieces, instead of "body"
        {"data": "data: {}\n\n", "delay_ms": 5, "hold": "name"},
        {"base64": "8J8="},                     // bytes that are no UTF-8, such as half a character
        {"data": "x", "times": 5000000}         // more than a header can hold
      ],
      "delay_ms": 50,                           // milliseconds before the answer
      "hold": "name",                           // wait for release("name") before the answer
      "break_after": {"unit": "request" | "chunks" | "bytes", "count": 2},
      "close": true,                            // answer in full, then close the connection
      "trailers": {"x-a": "1"}                  // after a body in chunks; the connection closes then
    }

Each chunk is one HTTP/1.1 chunk. A proxy that reads two at once may join them: where a cut has to be seen
beyond the proxy, give the later chunk a ``hold`` (or a ``delay_ms``).
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal, cast

from llmroute.conformance.upstream import parse

SCRIPT_HEADER: Final = "x-llmroute-script"

ScriptError = parse.ScriptError

Usage = Mapping[str, Any] | None | Literal["absent", "default"]
"""An object to report, ``None`` for ``"usage": null``, ``absent`` for no such key at all."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """One piece of a body: ``data``, written ``delay_ms`` milliseconds after the one before it.

    With ``hold`` it waits until the upstream is told to release that name. ``times`` is how often ``data`` is
    in the piece.
    """

    data: bytes
    delay_ms: int = 0
    hold: str | None = None
    times: int = 1


@dataclass(frozen=True, slots=True)
class Break:
    """Where the connection is cut.

    ``request``: after the request was read, without an answer. ``chunks`` and ``bytes``: after the head
    and ``count`` of them; the end of the body is never written, even when there are no more than that.
    """

    unit: Literal["request", "chunks", "bytes"]
    count: int = 0


@dataclass(frozen=True, slots=True)
class Script:
    """What one request commands; the module says how each field is written in the header.

    ``body`` None leaves the body as it would be. Usage, deltas and ``delta_delay_ms`` shape the default
    answers only: with ``body`` or ``chunks`` the caller has written the body.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    usage: Usage = "default"
    deltas: int | None = None
    delta_delay_ms: int = 0
    chunks: tuple[Chunk, ...] | None = None
    delay_ms: int = 0
    hold: str | None = None
    break_after: Break | None = None
    close: bool = False
    trailers: Mapping[str, str] = field(default_factory=dict)


def script_header(script: Script) -> str:
    """The value of ``x-llmroute-script``: one line of ASCII, only what differs from the default."""
    default = Script()
    document: dict[str, Any] = {}
    for item in fields(script):
        value = getattr(script, item.name)
        if value != getattr(default, item.name):
            document[item.name] = _document(value)
    return json.dumps(document, separators=(",", ":"))


def _document(value: Any) -> Any:
    """A field's value as JSON has it."""
    if isinstance(value, Break):
        return {"unit": value.unit, "count": value.count}
    if isinstance(value, tuple):
        return [_chunk_document(chunk) for chunk in value]
    return dict(value) if isinstance(value, Mapping) else value


def _chunk_document(chunk: Chunk) -> dict[str, Any]:
    """A chunk as JSON has it: text where it is text."""
    try:
        document: dict[str, Any] = {"data": chunk.data.decode()}
    except UnicodeDecodeError:
        document = {"base64": base64.b64encode(chunk.data).decode()}
    if chunk.delay_ms:
        document["delay_ms"] = chunk.delay_ms
    if chunk.hold is not None:
        document["hold"] = chunk.hold
    if chunk.times != 1:
        document["times"] = chunk.times
    return document


def parse_script(header: str | None) -> Script:
    """The script of a request, the default one where the header is missing.

    Raises:
        ScriptError: the value is no JSON object, or a field is unknown or of the wrong type.
    """
    if header is None:
        return Script()
    document = parse.document(header, {item.name for item in fields(Script)})
    status = parse.integer(document, "status", 200, least=200)
    if status > 599:
        raise ScriptError(f"status: {status} is no HTTP status")
    return Script(
        status=status,
        headers=parse.headers(document),
        body=document.get("body"),
        usage=_usage(document.get("usage", "default")),
        deltas=parse.integer(document, "deltas", 0) if "deltas" in document else None,
        delta_delay_ms=parse.integer(document, "delta_delay_ms", 0),
        chunks=_chunks(document["chunks"]) if "chunks" in document else None,
        delay_ms=parse.integer(document, "delay_ms", 0),
        hold=parse.name(document, "hold"),
        break_after=_break(document["break_after"]) if "break_after" in document else None,
        close=parse.flag(document, "close"),
        trailers=parse.headers(document, "trailers"),
    )


def _usage(value: Any) -> Usage:
    if value is None or isinstance(value, Mapping) or value in ("absent", "default"):
        return cast("Usage", value)
    raise ScriptError('usage: an object, null, "absent" or "default" is needed')


def _chunks(value: Any) -> tuple[Chunk, ...]:
    if not isinstance(value, list):
        raise ScriptError("chunks: a list is needed")
    return tuple(_chunk(item, f"chunks[{index}]") for index, item in enumerate(value))


def _chunk(value: Any, where: str) -> Chunk:
    item = parse.known(value, {"data", "base64", "delay_ms", "hold", "times"}, where)
    if ("data" in item) == ("base64" in item):
        raise ScriptError(f'{where}: one of "data" and "base64" is needed')
    text = item.get("data", item.get("base64"))
    if not isinstance(text, str):
        raise ScriptError(f"{where}: a string is needed")
    try:
        data = text.encode() if "data" in item else base64.b64decode(text, validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise ScriptError(f"{where}: {error}") from error
    return Chunk(
        data, parse.integer(item, "delay_ms", 0), parse.name(item, "hold"), parse.integer(item, "times", 1, least=1)
    )


def _break(value: Any) -> Break:
    item = parse.known(value, {"unit", "count"}, "break_after")
    unit = item.get("unit")
    if unit not in ("request", "chunks", "bytes"):
        raise ScriptError("break_after.unit: request, chunks or bytes is needed")
    return Break(cast("Literal['request', 'chunks', 'bytes']", unit), parse.integer(item, "count", 0))
