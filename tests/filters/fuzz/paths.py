"""What a path says: how it ends and which model it names, segment by segment."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

UNKNOWN: Final = "unknown"
MOST_MODEL: Final = 256


def name(raw: bytes | None) -> str:
    """The model as a header can carry it."""
    inner = (raw or b"").strip(b" \t")
    try:
        text = inner.decode()
    except UnicodeDecodeError:
        return UNKNOWN
    bad = not inner or len(inner) > MOST_MODEL or any(byte < 32 or byte == 127 for byte in inner)
    return UNKNOWN if bad else text


def read(path: str) -> tuple[bytes, bytes | None]:
    """The decoded path in lower case, without query and closing slash; and the model that it names."""
    raw = re.split("[?#]", path)[0].encode("latin-1")
    # A slash that stood encoded divides nothing, unless nothing else makes sense.
    segments = [unquote_to_bytes(one) for one in raw.split(b"/") if one]
    if segments and segments[-1].endswith(b"/") and not raw.endswith(b"/"):
        segments[-1] = segments[-1][:-1]
    model = _model(segments) or _model(b"/".join(segments).split(b"/"))
    return b"/".join((b"", *segments)).lower(), model


def _model(segments: list[bytes]) -> bytes | None:
    small = [one.lower() for one in segments]
    found: dict[int, bytes] = {}
    for at in range(len(segments) - 2):
        if small[at : at + 2] == [b"openai", b"deployments"] and at + 3 < len(segments):
            found[at + 2] = segments[at + 2]
    if len(segments) > 1 and small[-2] in {b"models", b"tunedmodels"}:
        verb = re.fullmatch(rb"(.+):[A-Za-z]+", segments[-1], re.DOTALL)
        if verb:
            found[len(segments) - 1] = verb[1]
    if len(segments) > 2 and small[-3] == b"model" and small[-1]:
        found[len(segments) - 2] = segments[-2]
    return found[max(found)] if found else None
