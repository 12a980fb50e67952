"""How far past a token limit a route can go (DESIGN 4.8).

A request is admitted while less than the quantity is used. When the quantity is reached, those
that were admitted before and are not booked yet still end, and each adds what of it is not booked:

    used < quantity + in flight x what one request adds

- **In flight** is a request from its admission until its charge is booked. That is a moment after its
  answer's end (about a millisecond): then its place at the backend, or its client, is free for
  another. So ``n`` places hold ``2 n`` at most, given that a charge lands sooner than an answer takes.
  ``settle: Sync`` books before the answer's last byte goes on: ``n`` clients that wait for it
  are ``n`` in flight. A place at the backend is free as soon as the backend has sent it all.
- **What one adds** is its prompt and its answer. ``maxTokens`` bounds the answer; nothing in a policy bounds
  the prompt, but the model's context window does. ``PrepaidPrompt`` books the prompt's estimate a moment after
  the check, so of requests that come at one moment each adds all. ``Reserve`` checks and books the prompt's
  estimate and ``maxTokens`` at once; what is left is a prompt's length beyond its estimate.

A body that the filter cannot read is not bounded by ``maxTokens``, and ``maxInFlight`` holds for each Envoy
and each backend.
"""

from __future__ import annotations

import math

from llmroute.plan import Admission, Kind, Limit, Mode, Route, Settle


def in_flight_of_clients(clients: int, admission: Admission) -> int:
    """Requests in flight of so many clients, each of which waits for the end of its answer."""
    return clients if admission.settle is Settle.SYNC else 2 * clients


def in_flight_of_route(route: Route, limit: Limit) -> int | None:
    """Requests in flight at one Envoy that ``limit`` counts; None where ``maxInFlight`` is not given."""
    places = route.admission.max_in_flight
    if places is None:
        return None
    return 2 * places * (len(route.backends) if limit in route.limits_of_all else 1)


def added(limit: Limit, admission: Admission, prompt: int, estimate: int = 0) -> int | None:
    """What one request adds to ``limit`` after its admission, at most; None where nothing bounds it.

    ``prompt`` is the length of the longest prompt in tokens, ``estimate`` what at least is estimated for it.
    """
    if limit.shadow:
        return None
    if limit.kind is Kind.REQUESTS or limit.quantity == 0:
        return 0  # booked on admission, and never admitted
    answer = 0 if admission.mode is Mode.RESERVE else admission.max_tokens
    if admission.mode is Mode.RESERVE:
        prompt = max(0, prompt - estimate)
    of_prompt, of_answer = limit.dearest
    if answer is None:
        return None if of_answer else math.ceil(prompt * of_prompt)
    return math.ceil(prompt * of_prompt + answer * of_answer)


def overshoot(limit: Limit, admission: Admission, in_flight: int | None, prompt: int, estimate: int = 0) -> int | None:
    """Tokens past ``limit`` that can be used, at most; None where nothing bounds them."""
    each = added(limit, admission, prompt, estimate)
    if each == 0:
        return 0
    return None if each is None or in_flight is None else in_flight * each


def in_words(route: Route, limit: Limit) -> str:
    """How far past ``limit`` one Envoy can let requests go, with what is not a number yet by its name."""
    if limit.shadow:
        return "no bound: a shadow refuses nothing"
    if limit.kind is Kind.REQUESTS or limit.quantity == 0:
        return "none"
    in_flight, each = in_flight_of_route(route, limit), _terms(limit, route.admission)
    return f"{each} for each request in flight" if in_flight is None else f"at most {in_flight} x {each} for each Envoy"


def _terms(limit: Limit, admission: Admission) -> str:
    """What one request adds: what its answer and its prompt cost."""
    of_prompt, of_answer = limit.dearest
    if admission.mode is Mode.RESERVE:
        terms = [(of_prompt, "prompt beyond its estimate")]
    else:
        answer = "its answer" if admission.max_tokens is None else str(admission.max_tokens)
        terms = [(of_answer, answer), (of_prompt, "prompt")]
    said = [term if weight == 1 else f"{weight.normalize():f} x {term}" for weight, term in terms if weight]
    return f"({' + '.join(said)}) tokens"


def summary(route: Route) -> str:
    """The bound of ``route``'s token limits in a line; an empty string where no token limit refuses."""
    if not any(limit.kind is Kind.TOKENS and limit.quantity and not limit.shadow for _, limit in route.limits()):
        return ""
    admission = route.admission
    each, missing = _each(admission), _missing(admission)
    how = f"overshoot of token limits ({admission.mode}, {admission.settle})"
    if admission.max_in_flight is None:
        bound = f"{each} for each request in flight"
    else:
        bound = f"at most {2 * admission.max_in_flight} x {each} for each Envoy and backend"
    return f"{how}: {bound}" + (f"; for a number set {missing}" if missing else "")


def _each(admission: Admission) -> str:
    answer = "its answer" if admission.max_tokens is None else str(admission.max_tokens)
    if admission.mode is Mode.RESERVE:
        return "(prompt beyond its estimate) tokens"
    return f"({answer} + prompt) tokens"


def _missing(admission: Admission) -> str:
    fields = {"maxInFlight": admission.max_in_flight, "maxTokens": admission.max_tokens}
    return " and ".join(f"spec.admission.{name}" for name, value in fields.items() if value is None)
