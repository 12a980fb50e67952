"""The wasm module of the filter that ships with the package, made by ``tools/build_wasm.py`` from ``filters/wasm``.

Envoy fetches a module by its digest, and while it does every other filter with the same one fails to load, for good. So
each filter of an Envoy that gets its modules from elsewhere has one of its own: the same code, and a name in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from importlib import resources
from typing import Final

_MODULE: Final = "filter.wasm"
"""Its name in the package."""
_SECTION: Final = b"llmroute"
"""Of the module, with the name in it: one that no machine reads."""
_CUSTOM: Final = b"\0"
_DIGITS: Final = 12


def filter_module() -> bytes:
    """The module."""
    return resources.files("llmroute.data").joinpath(_MODULE).read_bytes()


@dataclass(frozen=True, slots=True)
class NamedModule:
    """The module for one filter. ``name`` is a file's or a tag's: it says what is in the module, down to the byte."""

    name: str
    content: bytes

    @property
    def digest(self) -> str:
        """The SHA-256 of the module, in hex."""
        return sha256(self.content).hexdigest()


def named_module(owner: str) -> NamedModule:
    """The module for the filter of ``owner``: letters, digits, dots and dashes."""
    text = owner.encode()
    content = filter_module() + _section(_SECTION, text)
    return NamedModule(f"{_short(owner)}-{sha256(content).hexdigest()[:_DIGITS]}", content)


def _short(owner: str) -> str:
    """A tag has 128 characters at most."""
    return owner if len(owner) <= 100 else sha256(owner.encode()).hexdigest()[:32]


def _section(name: bytes, content: bytes) -> bytes:
    body = _number(len(name)) + name + content
    return _CUSTOM + _number(len(body)) + body


def _number(value: int) -> bytes:
    """LEB128."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))
