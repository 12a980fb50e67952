"""What the filter says of a request, as a plain Envoy is asked for it.

The Lua writes dynamic metadata. Envoy's wasm has no call for that; a property that it sets becomes filter state of that
name, with ``wasm.`` before it.
"""

from __future__ import annotations

from llmroute import names
from llmroute.targets import WASM


def state(key: str) -> str:
    """What Envoy calls the filter state that the wasm sets under ``key``."""
    return f"wasm.{key}"


def said(engine: str, key: str) -> str:
    """Envoy's command operator for what the filter of this engine says under ``key``."""
    if engine == WASM:
        return f"%FILTER_STATE({state(key)}:PLAIN)%"
    return f"%DYNAMIC_METADATA({names.METADATA_NAMESPACE}:{key})%"
