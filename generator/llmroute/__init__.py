"""llmroute: token limits for LLM traffic on stock Envoy Gateway and plain Envoy."""

from __future__ import annotations

__version__: str


def __getattr__(name: str) -> str:
    """``__version__``, read where it is asked for: the way to it is most of what ``llmroute --help`` would wait for."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import version  # noqa: PLC0415 see above

    return version("llmroute")
