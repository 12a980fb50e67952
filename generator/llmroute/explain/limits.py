"""Of each limit of a route: whether it applies to a request, and everything that follows."""

from __future__ import annotations

from dataclasses import dataclass

from llmroute.explain.charges import Charge, charges
from llmroute.explain.counters import Counter, counters
from llmroute.explain.refusal import Refusal, refusal
from llmroute.explain.request import Asked
from llmroute.limiter import window
from llmroute.matching import takes
from llmroute.names import MODEL_HEADER
from llmroute.overshoot import in_flight_of_route, in_words, overshoot
from llmroute.plan import Match, Route, Selector
from llmroute.targets import Capabilities


@dataclass(frozen=True, slots=True)
class Explained:
    """A limit and a request.

    ``why_not`` is why the limit does not apply, empty where it does; then ``key`` is the counter's in Redis, which
    begins again in ``reset`` seconds. ``refusal`` is None for a shadow. ``bound`` says how far past the limit the
    route can go; ``at_most`` is that in tokens for the request's prompt, where that is given and anything bounds it.
    """

    counter: Counter
    why_not: str
    key: str
    reset: int
    charges: tuple[Charge, ...]
    refusal: Refusal | None
    bound: str
    at_most: int | None


def explained(route: Route, request: Asked, target: Capabilities, now: float) -> tuple[Explained, ...]:
    """Every limit of ``route``, in its order, at the time ``now`` (Unix seconds)."""
    return tuple(_explained(route, request, each, now) for each in counters(route, target))


def _explained(route: Route, request: Asked, counter: Counter, now: float) -> Explained:
    limit, prompt = counter.limit, request.sent.prompt
    unit = window.Unit[limit.unit.name]
    reset = window.until_reset(unit, now)
    in_flight = in_flight_of_route(route, limit)
    return Explained(
        counter=counter,
        why_not=_why_not(counter, request),
        key=counter.key(request.headers, window.window_start(unit, now)),
        reset=reset,
        charges=charges(route, limit),
        refusal=refusal(route, limit, request.headers[MODEL_HEADER], reset, request.sent.api),
        bound=in_words(route, limit),
        at_most=None if prompt is None else overshoot(limit, route.admission, in_flight, prompt),
    )


def _why_not(counter: Counter, request: Asked) -> str:
    backend = counter.backend
    if backend and backend.name != request.backend.name:
        return f"it is of the backend {backend.name}, and the request goes to {request.backend.name}"
    other = (s for s in counter.limit.selectors if not takes(s, request.headers[s.header]))
    return ", ".join(f"{s.header} is {request.headers[s.header]}, not {_wanted(s)}" for s in other)


def _wanted(selector: Selector) -> str:
    return f"like {selector.value}" if selector.match is Match.REGEX else str(selector.value)
