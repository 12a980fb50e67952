"""Where the suite runs: what it can do there beside the gateway, and what a report says of it."""

from __future__ import annotations

import importlib.util
import platform
from typing import Final

from llmroute import __version__
from llmroute.conformance.features import Feature

_SDKS: Final = ("openai", "anthropic", "google.genai", "httpx2")


def own_features() -> frozenset[Feature]:
    """What does not depend on the gateway."""
    return frozenset({Feature.SDKS}) if all(map(_installed, _SDKS)) else frozenset()


def _installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # a package above it
        return False


def described() -> dict[str, str]:
    """For a report."""
    return {
        "suite": f"llmroute {__version__}",
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }
