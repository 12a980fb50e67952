"""Steps in words, the same in every run."""

from __future__ import annotations

from typing import Final

from llmroute.conformance.case import Counted, Pass, Request, Send, Service, Step, Together, Watch

OWN: Final = "{user}"
"""The case's own user, as a report says it."""


def describe(step: Step) -> str:
    """What a step does."""
    if isinstance(step, Send | Watch):
        streamed = "a stream of " if isinstance(step, Watch) else ""
        leaves = f", left after {step.leaves} pieces" if isinstance(step, Watch) and step.leaves else ""
        return f"{streamed}{_request(step.request)}{leaves}"
    if isinstance(step, Together):
        return f"{step.count} at one time: {_request(step.requests[0])}"
    if isinstance(step, Pass):
        there = f"the next window of {step.window} s, and " if step.window else ""
        return f"time passes: {there}{step.seconds:g} s"
    if isinstance(step, Service):
        return f"the service that counts: {step.act}"
    if isinstance(step, Counted):
        return f"the counter of limit {step.limit + 1} is read"
    return f"the SDK call {step.call}"


def _request(request: Request) -> str:
    who = "nobody" if request.user is None else f"{request.user}-{OWN}" if request.user else OWN
    model = "" if isinstance(request.body, bytes) else f", model {request.model}"
    headers = "".join(f", {name}: {value}" for name, value in request.headers)
    return f"{request.method} {request.path} as {who}{model}{headers}"
