"""The wasm module of the filter that ships with the package, made by ``tools/build_wasm.py`` from ``filters/wasm``."""

from __future__ import annotations

from hashlib import sha256
from importlib import resources
from typing import Final

_MODULE: Final = "filter.wasm"
"""Its name in the package."""


def filter_module() -> bytes:
    """The module."""
    return resources.files("llmroute.data").joinpath(_MODULE).read_bytes()


def module_digest() -> str:
    """Its SHA-256, in hex."""
    return sha256(filter_module()).hexdigest()
