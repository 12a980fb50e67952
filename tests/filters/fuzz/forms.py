"""Random forms, and the simplest splitter of them."""

from __future__ import annotations

import itertools
import re
from random import Random
from typing import Final

from tests.filters.fuzz.texts import mutated

_END: Final = (b"\r\n", b"\r\n", b"\r\n", b"\n")


def make(random: Random) -> tuple[str, bytes]:
    """A content type and a body, of which some lie."""
    boundary = random.choice(("b", "----WebKitFormBoundary7", "x-y_z.1", "=+?", "b" * 70))
    said = (
        random.choice((boundary, f'"{boundary}"')) if "?" not in boundary and "=" not in boundary else f'"{boundary}"'
    )
    kind = (
        random.choice(("multipart/form-data", "Multipart/Form-Data"))
        + random.choice(("; ", ";", " ; "))
        + f"boundary={said}"
    )
    end = random.choice(_END)
    mark = b"--" + boundary.encode()
    parts = [random.choice((b"", b"", b"", b"preamble" + end, b'{"model":"a"}' + end, mark + b"x" + end))]
    for _ in range(random.choice((1, 2, 3))):
        parts += (mark, random.choice((b"", b"", b" ", b"\t")), end, _part(random, end, mark), end)
    parts += (mark + b"--", random.choice((end, end, b"", b" " + end, end + b"epilogue" + end + mark + end)))
    body = b"".join(parts)
    return kind, mutated(random, body) if random.random() < 0.3 else body


def _part(random: Random, end: bytes, mark: bytes) -> bytes:
    name = random.choice(("model", "model", "model", "file", "Model", "prompt", "mode"))
    spelt = random.choice(
        (
            f'name="{name}"',
            f"name={name}",
            f'NAME="{name}"',
            f'x="y"; name="{name}"',
            f'name="{name}"; filename="model"',
        )
    )
    head = (
        random.choice(("Content-Disposition", "content-disposition", "CONTENT-DISPOSITION")) + f": form-data; {spelt}"
    )
    more = [b"Content-Type: text/plain"] if random.random() < 0.3 else []
    value = random.choice(
        (b"gpt-4", b"gpt-4", b"whisper-1", b" m ", b"", b"\xc3\xa9", b"\xff", b'name="model"', mark[:-1], mark + b"-")
    )
    if random.random() < 0.2:
        value = value + end + b'Content-Disposition: form-data; name="model"' + end + end + b"other"
    lines = [head.encode(), *more]
    random.shuffle(lines)
    return end.join((*lines, b"", value))


_BLANK: Final = re.compile(rb"\r?\n\r?\n")
_FOLD: Final = re.compile(rb"\r?\n[ \t]+")
_FIELD: Final = re.compile(
    rb"^(?i:content-disposition)[ \t]*:.*;[ \t]*(?i:name)[ \t]*=[ \t]*(\"model\"|model[ \t]*(;|\r?$))", re.MULTILINE
)


_SURE: Final = re.compile(
    rb"(?i:content-type: text/plain|content-disposition:[ \t]*form-data"
    rb"([ \t]*;[ \t]*[a-z]+[ \t]*=[ \t]*(\"[^\"\\\r\n]*\"|[a-z]+))*[ \t]*)"
)
_NAME: Final = re.compile(rb"(?i)(?<![a-z])name[ \t]*=")


def doubtful(body: bytes) -> bool:
    """Has it a line that may be a head's, but not of the heads that all parsers read alike?"""
    lines = re.split(rb"\r?\n", body)
    heads = [line for line in lines if re.search(rb"(?i)[;:]|content|\bname", line)]
    return any(not _SURE.fullmatch(line) or len(_NAME.findall(line)) > 1 for line in heads)


def models(kind: str, body: bytes) -> list[bytes | None] | None:
    """The values of the fields ``model``, None for a part that is cut; None when this is no form."""
    found = re.search(r'(?i)boundary="?([^";]*)', kind)
    if "multipart/form-data" not in kind.lower() or not found:
        return None
    mark = re.escape(found[1].encode())
    delimiter = re.compile(rb"(?:(?:\A|\r?\n)--" + mark + rb")(--[ \t]*(?:\r?\n|\Z)|[ \t]*\r?\n)")
    places = list(_delimiters(delimiter, body))
    values: list[bytes | None] = []
    for this, following in itertools.zip_longest(places, places[1:]):
        if this[1].startswith(b"--"):
            break
        part = body[this.end() : following.start() if following else len(body)]
        if part.startswith((b"\n", b"\r\n")):
            continue
        head, blank, value = (
            re.split(rb"(\r?\n\r?\n)", part + b"\0", maxsplit=1) if _BLANK.search(part) else (part, b"", b"")
        )
        if not blank or _FIELD.search(_FOLD.sub(b" ", head)):
            values.append(value[:-1] if blank and following else None)
    return values


def _delimiters(pattern: re.Pattern[bytes], body: bytes) -> list[re.Match[bytes]]:
    """The line end of one delimiter may begin the next."""
    found = []
    at = 0
    while match := pattern.search(body, at):
        found.append(match)
        at = match.end() - len(re.search(rb"(\r?\n)?\Z", match[0])[0])  # type: ignore[index]
    return found
