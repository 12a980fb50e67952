"""Messages of AWS' binary event streams (``application/vnd.amazon.eventstream``), written from their description.

A message is its length and the length of its headers (4 bytes each), the CRC of those 8 bytes, the headers, the
payload, and the CRC of all before it; everything big endian.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from typing import Final

_STRING: Final = 7
"""The type of a header whose value is text."""
_OVERHEAD: Final = 16


def encode(headers: Mapping[str, str], payload: bytes) -> bytes:
    """One message."""
    head = b"".join(_header(name, value) for name, value in headers.items())
    lengths = struct.pack(">II", _OVERHEAD + len(head) + len(payload), len(head))
    start = lengths + _crc(lengths) + head + payload
    return start + _crc(start)


def event(kind: str, payload: bytes) -> bytes:
    """An event, as Bedrock sends them."""
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    return encode(headers, payload)


def exception(kind: str, payload: bytes) -> bytes:
    """An error in the middle of a stream."""
    headers = {":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}
    return encode(headers, payload)


def _header(name: str, value: str) -> bytes:
    key, text = name.encode(), value.encode()
    return struct.pack(">B", len(key)) + key + struct.pack(">BH", _STRING, len(text)) + text


def _crc(data: bytes) -> bytes:
    return struct.pack(">I", zlib.crc32(data))
