"""For tests of one's own policy: a local gateway, a client that says user, model and tokens, and a clock.

``plugin`` is what pytest loads, in every project that has this package; so nothing else is imported before a test asks
for a gateway. ``gateway`` is what it gives, ``answer`` and ``counters`` what a test looks at, ``policy`` reads the
files, ``identity`` makes a user of a request.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from llmroute.conformance.upstream import Break, Chunk, Script
    from llmroute.testing.answer import Answer
    from llmroute.testing.clock import Clock
    from llmroute.testing.counters import Counter
    from llmroute.testing.errors import PolicyError, UnknownUser
    from llmroute.testing.gateway import Gateway, serve

__all__ = ["Answer", "Break", "Chunk", "Clock", "Counter", "Gateway", "PolicyError", "Script", "UnknownUser", "serve"]

_MODULES: Final = {
    "Answer": "llmroute.testing.answer",
    "Break": "llmroute.conformance.upstream",
    "Chunk": "llmroute.conformance.upstream",
    "Clock": "llmroute.testing.clock",
    "Counter": "llmroute.testing.counters",
    "Gateway": "llmroute.testing.gateway",
    "PolicyError": "llmroute.testing.errors",
    "Script": "llmroute.conformance.upstream",
    "UnknownUser": "llmroute.testing.errors",
    "serve": "llmroute.testing.gateway",
}


def __getattr__(name: str) -> Any:
    """A name of ``__all__``, imported where it is asked for."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(importlib.import_module(_MODULES[name]), name)
    except ModuleNotFoundError as missing:
        raise ModuleNotFoundError(
            f"llmroute.testing needs the package {missing.name}: pip install 'llmroute[testing]'", name=missing.name
        ) from missing
