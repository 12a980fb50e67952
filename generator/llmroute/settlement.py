"""Which calls of the rate limit service the filter makes itself. Pure.

With ``admission.settle: Sync`` it charges an answer before it ends, with ``admission.mode: PrepaidPrompt`` it
admits a request and books its prompt. Else the proxy checks a request and charges when its stream is done. The
filter has to know a limit's counter by name for a call of its own, and whether the limit applies.
"""

from __future__ import annotations

import dataclasses

from llmroute import names
from llmroute.encoding import Charge, encode
from llmroute.plan import Limit, Match, Mode, Plan, Route, Selector, Settle
from llmroute.targets import Capabilities


def books(route: Route, limit: Limit) -> bool:
    """Whether the filter charges ``limit`` of ``route`` itself; if not, or if that fails, the proxy does."""
    asked = route.admission.settle is Settle.SYNC and encode(limit).charge is Charge.USAGE
    return asked and unreadable(limit) is None


def prepays(route: Route, limit: Limit) -> bool:
    """Whether the filter admits requests by ``limit`` of ``route`` itself. A shadow admits everything."""
    return route.admission.mode is Mode.PREPAID_PROMPT and not limit.shadow


def owes(route: Route, limit: Limit) -> bool:
    """Whether something of an answer's charge may be paid before its stream is done, so that the rest is due."""
    return books(route, limit) or (prepays(route, limit) and encode(limit).charge is Charge.USAGE)


def unreadable(limit: Limit) -> Selector | None:
    """The selector of which the filter cannot say whether it matches: Lua has no RE2."""
    return next((selector for selector in limit.selectors if selector.match is Match.REGEX), None)


def due_key(route: Route, limit: Limit) -> str:
    """Where the filter says what the proxy has still to charge for ``limit`` when the stream is done.

    Each limit has its own: of several charges some may have been made and others not.
    """
    return f"{names.DUE_PREFIX}{_place(route, limit)}"


def paid_key(route: Route, limit: Limit) -> str:
    """Where the filter says what was booked to ``limit`` on admission."""
    return f"{names.PAID_PREFIX}{_place(route, limit)}"


def _place(route: Route, limit: Limit) -> int:
    return [each for _, each in route.limits()].index(limit) + 1


def hindrance(route: Route, target: Capabilities) -> str | None:
    """Why the filter cannot call the service about anything of ``route`` on ``target``; None when it can."""
    if not target.known_counters:
        return f"nobody has proven what {target.target} {target.version} calls its counters"
    if route.namespace is None and target.counts_by_place:
        return f"{target.target} calls its counters by the namespace, and the LLMRoute does not say which it is in"
    return None


def carried_out(plan: Plan, target: Capabilities) -> Plan:
    """The plan as ``target`` can carry it out: where the filter cannot charge, the proxy does as ever."""
    return Plan(tuple(_carried_out(route, target) for route in plan.routes))


def _carried_out(route: Route, target: Capabilities) -> Route:
    if route.admission.settle is not Settle.SYNC or hindrance(route, target) is None:
        return route
    return dataclasses.replace(route, admission=dataclasses.replace(route.admission, settle=Settle.ASYNC))
