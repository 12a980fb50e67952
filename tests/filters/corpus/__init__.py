r"""The adversarial corpus: one YAML file per trick, read into what is sent and what must come out.

A file says ``title``, ``why``, ``request``, ``answer``, ``context`` (keys added to the filter context), ``expect`` and,
where the trick cannot be sent through HTTP, ``unsendable`` with the reason, or ``redirected`` with the reason why Envoy
Gateway sends the client elsewhere. ``request`` is ``asked`` or ``unasked`` (a stream
that did or did not ask for usage), or says ``body``, ``path``, ``method``, ``headers``, ``type``. ``answer`` says ``body``,
``events`` (the data of one SSE event each) or ``lines`` (each ended by ``end``), ``type``, ``status``, ``headers``.
``expect`` says ``model``, ``upstream`` and ``client`` (the bodies; ``same`` where nothing is said), ``tokens`` (prompt,
completion, total, source), ``cached``, ``cache_write``, ``reasoning`` and ``headers`` (of the client's answer; null: not there).

Bytes are text, or one of ``{bytes: "\xFF"}`` (Latin-1), ``{base64: ...}``, ``{text: x, times: 9}``, ``{gzip: text}``,
``{encode: utf-16, text: x}``, ``{frame: payload, event: name}`` (a message of a Bedrock stream), or a list of such pieces.
"""

from __future__ import annotations

import base64
import gzip
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

HERE: Final = Path(__file__).parent
JSON_TYPE: Final = "application/json"
SSE_TYPE: Final = "text/event-stream"
PLAIN: Final = '{"model":"m","messages":["1"]}'
UNASKED: Final = '{"model":"m","stream":true,"messages":["1"]}'
ASKED: Final = '{"model":"m","stream":true,"messages":["1"],"stream_options":{"include_usage":true}}'
FORCED: Final = '{"stream_options":{"include_usage":true},' + UNASKED[1:]
REPORTED: Final = '{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}'

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Trick:
    """One file. ``upstream`` and ``client`` are the bodies that must arrive; None among ``headers``: not there."""

    name: str
    title: str
    method: str
    path: str
    request_headers: Headers
    request: bytes | None
    status: int
    answer_headers: Headers
    answer: bytes
    context: dict[str, Any]
    model: str
    upstream: bytes | None
    client: bytes
    tokens: tuple[int, int, int, str]
    details: dict[str, int]
    headers: dict[str, str | None]
    unsendable: str | None
    redirected: str | None


def tricks() -> list[Trick]:
    """The whole corpus, by name."""
    return [load(file) for file in sorted(HERE.glob("*.yaml"))]


def load(file: Path) -> Trick:
    """One file.

    Raises:
        ValueError: it says something that nobody reads, or leaves out what must be said.
    """
    said = yaml.safe_load(file.read_text(encoding="utf-8"))
    known(said, "title why request answer context expect unsendable redirected", file.name, needed="title why expect")
    request = _request(said.get("request", {}), file.name)
    answer = _answer(said.get("answer", {"body": REPORTED}), file.name)
    expect = known(
        said["expect"], "model upstream client tokens cached cache_write reasoning headers", file.name, needed=""
    )
    if "answer" in said and "tokens" not in expect:
        raise ValueError(f"{file.name}: an answer of its own needs expect.tokens")
    prompt, completion, total, source = expect.get("tokens", [3, 4, 7, "reported"])
    details: dict[str, int] = {key: expect[key] for key in ("cached", "cache_write", "reasoning") if key in expect}
    forced = said.get("request") == "unasked"
    return Trick(
        name=file.stem,
        title=said["title"],
        context=said.get("context", {}),
        model=expect.get("model", "m"),
        upstream=_expected(expect, "upstream", FORCED.encode() if forced else request["request"]),
        client=_expected(expect, "client", answer["answer"]) or b"",
        tokens=(prompt, completion, total, source),
        details=details,
        headers=expect.get("headers", {}),
        unsendable=said.get("unsendable"),
        redirected=said.get("redirected"),
        **request,
        **answer,
    )


def known(said: Any, fields: str, where: str, *, needed: str) -> dict[str, Any]:
    """The mapping, which has the needed fields and none that is not known."""
    if not isinstance(said, dict) or set(said) - set(fields.split()) or set(needed.split()) - set(said):
        raise ValueError(f"{where}: a mapping with {needed or 'none'} of {fields} is needed, not {said!r:.200}")
    return said


def _expected(expect: dict[str, Any], name: str, same: bytes | None) -> bytes | None:
    said = expect.get(name, "same")
    return same if said == "same" else content(said)


def _request(said: Any, where: str) -> dict[str, Any]:
    if isinstance(said, str):
        said = {"body": {"asked": ASKED, "unasked": UNASKED}[said]}
    known(said, "body path method headers type", where, needed="")
    body = content(said.get("body", PLAIN))
    headers = (("content-type", said.get("type", JSON_TYPE)), *_pairs(said.get("headers", [])))
    return {
        "method": said.get("method", "POST"),
        "path": said.get("path", "/v1/chat/completions"),
        "request_headers": headers,
        "request": body,
    }


def _answer(said: Any, where: str) -> dict[str, Any]:
    known(said, "body events lines end type status headers", where, needed="")
    kind = said.get("type", SSE_TYPE if "events" in said or "lines" in said else JSON_TYPE)
    if "events" in said:
        body = b"".join(b"data: " + content(event) + b"\n\n" for event in said["events"])
    elif "lines" in said:
        body = b"".join(content(line) + said.get("end", "\n").encode() for line in said["lines"])
    else:
        body = content(said.get("body", ""))
    headers = (*((("content-type", kind),) if kind else ()), *_pairs(said.get("headers", [])))
    return {"status": said.get("status", 200), "answer_headers": headers, "answer": body}


def _pairs(said: list[list[str]]) -> Headers:
    return tuple((name, value) for name, value in said)


def content(said: Any) -> bytes:
    """The bytes that a file writes down."""
    if isinstance(said, str):
        return said.encode()
    if isinstance(said, list):
        return b"".join(content(piece) for piece in said)
    match said:
        case {"bytes": str(latin)}:
            return latin.encode("latin-1")
        case {"base64": str(text)}:
            return base64.b64decode(text, validate=True)
        case {"text": inner, "times": int(times)}:
            return content(inner) * times
        case {"gzip": inner}:
            return gzip.compress(content(inner), mtime=0)
        case {"encode": str(encoding), "text": str(text)}:
            return text.encode(encoding)
        case {"frame": payload, "event": str(event)}:
            return _frame(content(payload), event)
    raise ValueError(f"no bytes: {said!r:.200}")


def _frame(payload: bytes, event: str) -> bytes:
    """A message of ``application/vnd.amazon.eventstream``."""
    pairs = ((":event-type", event), (":content-type", "application/json"), (":message-type", "event"))
    headers = b"".join(
        struct.pack(">B", len(name)) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
        for name, value in pairs
    )
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    message = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + payload
    return message + struct.pack(">I", zlib.crc32(message))
