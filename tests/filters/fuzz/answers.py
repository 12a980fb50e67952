"""What must come of an answer: bytes and numbers, from its bytes, its headers and what the request left."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tests.filters.fuzz.engine import Case
from tests.filters.fuzz.ledger import Ledger, is_empty, is_list
from tests.filters.fuzz.numbers import Numbers, fields
from tests.filters.fuzz.tree import BLANKS, Member, last, members, solid, value_end

CAP: Final = 24576
LINE: Final = 32
"""Longer events are not kept. Cases stay far from where the cap really is."""
MOST_USAGE: Final = 4096
"""A longer usage object of a JSON answer is given up."""
_JSON: Final = re.compile(rb"[ \t\r\n\xef\xbb\xbf]*[{\[]")
_LINE: Final = re.compile(rb"([^\r\n]*)(\r\n|\r|\n|$)")


@dataclass(frozen=True, slots=True)
class Expected:
    """What must come out; ``middle`` is the metadata after the watched piece."""

    body: bytes
    metadata: dict[str, str]
    middle: dict[str, str] | None = None


def expect(case: Case) -> Expected | None:
    """None when the answer is JSON that is broken: of it only that cuts change nothing can be said."""
    seen = b"".join(case.pieces[: case.watched])
    whole = _run(case, case.body, complete=True)
    part = _run(case, seen, complete=False) if whole and case.watched else None
    if not whole:
        return None
    ledger, body = whole
    middle = _metadata(case.known, *part[0].now()) if part else None
    return Expected(body, _metadata(case.known, *ledger.due()), middle)


def _metadata(known: Mapping[str, Any], numbers: Numbers, source: str) -> dict[str, str]:
    """As the driver says it."""
    out = {key: str(value).lower() if value is True else str(value) for key, value in known.items()}
    for name in ("prompt", "completion", "total", "cached", "cache_write", "reasoning"):
        out[f"{name}_tokens"] = str(getattr(numbers, name))
    return out | {"usage_source": source}


def _run(case: Case, body: bytes, *, complete: bool) -> tuple[Ledger, bytes] | None:
    headers = dict(case.headers)
    kind = headers.get("content-type", "").split(";")[0].strip().lower()
    ledger = Ledger(case.context, case.known, size=len(body), streamed=kind == "text/event-stream")
    if headers.get("content-encoding", "identity") != "identity":
        ledger.streamed = False
    elif kind == "application/vnd.amazon.eventstream":
        ledger.streamed = _messages(ledger, body)
    elif _JSON.match(case.body):
        ledger.streamed = False
        if not _document(ledger, case.body, len(body)):
            return None
    else:
        body = _events(ledger, body, complete=complete, hold=ledger.streamed and bool(case.known.get("forced_usage")))
    return ledger, body


# --- Event streams ------------------------------------------------------------------------------------------


def _events(ledger: Ledger, body: bytes, *, complete: bool, hold: bool) -> bytes:
    """Reads a stream as the WHATWG says; gives what a client that did not ask for usage may see."""
    out: list[bytes] = []
    event: list[tuple[bytes, bytes]] = []
    for match in _LINE.finditer(body):
        line, ending = match.groups()
        if match.start() == 0:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if not ending and not complete:
            break
        if line or not ending:
            if not event and line.startswith(b":"):
                out.append(match[0])
            elif line:
                event.append((line, match[0]))
        if not line:
            out.append(_event(ledger, event, match[0], hold=hold))
            event = []
        if not ending:
            out.append(_event(ledger, event, b"", hold=hold))
            break
    return b"".join(out)


def _event(ledger: Ledger, event: list[tuple[bytes, bytes]], ending: bytes, *, hold: bool) -> bytes:
    raw = b"".join(line for _, line in event) + ending
    values = [_value(line) for line, _ in event]
    data = [value for value in values if value is not None]
    if _over(event):
        heard, deltas, weight = ledger.heard, ledger.deltas, ledger.weight
        ledger.event(b"\n".join(data).decode("latin-1"))
        ledger.deltas, ledger.weight = deltas, weight
        if data and ledger.heard == heard:
            ledger.delta()
        return raw
    if not data:
        return raw
    text = b"\n".join(data).decode("latin-1")
    outer = ledger.event(text)
    usage = outer.get("usage") if outer else None
    if not hold or not outer or not usage:
        return raw
    choices = outer.get("choices")
    if text[usage.value] == "{" and choices and is_list(text, choices) and is_empty(text, choices):
        return b""
    if text[usage.value] == "n" and len(data) == 1:
        start, stop = _gap(text, usage)
        shown = (text[:start] + text[stop:]).encode("latin-1")
        return (
            b"".join(
                full if value is None else full.replace(value, shown)
                for (_, full), value in zip(event, values, strict=True)
            )
            + ending
        )
    return raw


def _over(event: list[tuple[bytes, bytes]]) -> bool:
    """Is the event over the cap? Each line counts with what it costs to keep; comments before it do not count."""
    size = 0
    for line, _ in event:
        if size + len(line) > CAP:
            return True
        if size or not line.removeprefix(b"\xef\xbb\xbf").startswith(b":"):
            size += len(line) + LINE
    return False


def _value(line: bytes) -> bytes | None:
    name, _, value = line.partition(b":")
    return value.removeprefix(b" ") if name == b"data" else None


def _gap(text: str, member: Member) -> tuple[int, int]:
    """A member with its comma: the one before it, or else the one after it and the blanks there."""
    start, stop = len(text[: member.start].rstrip(BLANKS)), member.stop
    if text[start - 1] == ",":
        return start - 1, stop
    after = solid(text, stop)
    return member.start, solid(text, after + 1) if text[after] == "," else stop


# --- JSON: one object, lines of them, or an array of them ----------------------------------------------------


def _document(ledger: Ledger, body: bytes, seen: int) -> bool:
    """Reads what stands in the first ``seen`` bytes; says whether all of it is JSON."""
    text = body.decode("latin-1")
    at = 0
    try:
        while (at := _solid(text, at)) < len(text):
            stop = value_end(text, at)
            if text[at] == "[":
                for start, end in _items(text, at):
                    _item(ledger, text, start, end, seen, listed=True)
                return True
            if text[at] != "{":
                return True
            _item(ledger, text, at, stop, seen, listed=False)
            at = stop
    except (ValueError, RecursionError):
        return False
    return True


def _solid(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n\xef\xbb\xbf":
        at += 1
    return at


def _items(text: str, at: int) -> list[tuple[int, int]]:
    found = []
    at = solid(text, at + 1)
    while text[at] != "]":
        stop = value_end(text, at)
        found.append((at, stop))
        at = solid(text, stop)
        at = solid(text, at + 1) if text[at] == "," else at
    return [(start, stop) for start, stop in found if text[start] == "{"]


def _item(ledger: Ledger, text: str, at: int, stop: int, seen: int, *, listed: bool) -> None:
    for member in members(text, at):
        whole = member.stop <= seen and text[member.value] == "{" and member.stop - member.value <= MOST_USAGE
        if whole and member.key in ("usage", "usageMetadata", "meta"):
            ledger.report(fields(text, member.value, wrapped=member.key == "meta"))
    if stop > seen:
        return
    outer = last(text, at)
    done = outer.get("done")
    # Ollama's embeddings are not said to be done.
    if done or "prompt_eval_count" in outer:
        if done and text[done.value] == "f":
            ledger.delta()
        elif not done or text[done.value] == "t":
            counts = {name: outer[name] for name in ("prompt_eval_count", "eval_count") if name in outer}
            said = ",".join(f"{json.dumps(name)}:{text[one.value : one.stop]}" for name, one in counts.items())
            ledger.report(fields("{" + said + "}", 0))
    elif listed and is_list(text, outer.get("candidates")) and not is_empty(text, outer["candidates"]):
        ledger.delta()


# --- Bedrock's messages -------------------------------------------------------------------------------------


def _messages(ledger: Ledger, body: bytes) -> bool:
    """Reads every whole message; says whether the stream is one."""
    at = 0
    while at + 12 <= len(body):
        total, headers = (int.from_bytes(body[at + n : at + n + 4]) for n in (0, 4))
        size = total - headers - 16
        if size < 0 or total > (16 << 20) + (128 << 10) + 16:
            return False
        start = at + 12 + headers
        if start + size > len(body):
            return True
        ledger.event(body[start : start + size].decode("latin-1"))
        at += total
    return True
