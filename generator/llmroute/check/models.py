"""Models: limits that a request can dodge by hiding its model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from llmroute import codes, names
from llmroute.diagnostic import Diagnostic, Severity
from llmroute.matching import pattern
from llmroute.plan import Limit, Match, Plan, Selector

_Condition = tuple[str, Match, str | None]


def check(plan: Plan) -> Iterator[Diagnostic]:
    """One finding for a backend at most, at its first such rule: the remedy is the same for all."""
    for route in plan.routes:
        # A rule across all backends is escaped from at each of them, and told once.
        dodged = dict.fromkeys(_dodged((*backend.limits, *route.limits_of_all)) for backend in route.backends)
        for selector in filter(None, dodged):
            message = (
                f"a request whose model cannot be read (a compressed body, or no JSON) has the model "
                f"{names.UNKNOWN}: this rule passes it by, and no other limits it"
            )
            hint = f"add a rule for the model {names.UNKNOWN} with quantity: 0, or a rule without a model"
            yield Diagnostic(codes.UNKNOWN_UNLIMITED, selector.origin, message, hint, Severity.WARNING)


def _dodged(limits: Iterable[Limit]) -> Selector | None:
    """The model's selector of the first limit that a request escapes from to no other limit.

    Any kind of limit catches it. A shadow refuses nothing: there is nothing to escape from, nor does it catch.
    """
    catching: list[set[_Condition]] = []
    choosing: list[tuple[Selector, Limit]] = []
    for limit in limits:
        if limit.shadow:
            continue
        chosen = next((s for s in limit.selectors if s.header == names.MODEL_HEADER and not _takes_unknown(s)), None)
        if chosen:
            choosing.append((chosen, limit))
        else:
            catching.append(_others(limit))
    # One that asks for more than the escaped limit did, say for another user, does not catch its requests.
    escaped = (chosen for chosen, limit in choosing if not any(c <= _others(limit) for c in catching))
    return next(escaped, None)


def _others(limit: Limit) -> set[_Condition]:
    """What it asks for beside the model. Distinct asks for nothing: no selected header is ever missing."""
    return {
        (s.header, s.match, s.value)
        for s in limit.selectors
        if s.header != names.MODEL_HEADER and s.match is not Match.DISTINCT
    }


def _takes_unknown(selector: Selector) -> bool:
    if selector.match is Match.DISTINCT or not selector.value:  # of a missing value ``headers`` speaks
        return True
    if selector.match is Match.EXACT:
        return selector.value == names.UNKNOWN
    compiled = pattern(selector.value)
    return compiled is None or compiled.fullmatch(names.UNKNOWN) is not None  # of no expression, too
