"""llmroute: token limits for LLM traffic on stock Envoy Gateway and plain Envoy."""

from __future__ import annotations

from importlib.metadata import version

__version__ = version("llmroute")
