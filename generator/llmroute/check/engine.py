"""What the filter runs on: engines that a target cannot have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from llmroute import codes
from llmroute.diagnostic import Diagnostic
from llmroute.plan import Plan
from llmroute.targets import Capabilities

_WHY: Final = (
    "its wasm filters cannot hold a request's headers until they have read the body, which is where the model is"
)


def check(plan: Plan, target: Capabilities) -> Iterator[Diagnostic]:
    """One finding for each route: it can be made for no target of the name."""
    if target.engine in target.engines:
        return
    there = ", ".join(sorted(target.engines))
    for route in plan.routes:
        message = f"{target.target} {target.version} has no engine {target.engine}: {_WHY}"
        yield Diagnostic(codes.NO_ENGINE, route.origin, message, f"say --engine {there}, or another --target")
