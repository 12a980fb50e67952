"""The wasm module of the filter that ships with the package, made by ``tools/build_wasm.py`` from ``filters/wasm``."""

from __future__ import annotations

import hashlib
from importlib import resources
from typing import Final

MODULE: Final = "filter.wasm"
"""Its name in the package, and beside a bootstrap."""


def filter_module() -> bytes:
    """The module."""
    return resources.files("llmroute.data").joinpath(MODULE).read_bytes()


def filter_sha256() -> str:
    """Its checksum, in hexadecimal."""
    return hashlib.sha256(filter_module()).hexdigest()
