"""Which calls the filter makes itself, and where it says what the proxy has still to do in the end. Pure.

The proxy checks a request and charges when its stream is done. With ``admission.settle: Sync`` the filter asks the
rate limit service to charge and lets the answer end when it has; with ``admission.mode: PrepaidPrompt`` it admits a
request itself and books its prompt. It has to know a limit's counter by name for a call of its own, and whether the
limit applies.

With ``admission.mode: Reserve`` a request pays on admission for what it may take. When the stream is done the proxy
charges what went beyond that, or gives back what is left of it.
"""

from __future__ import annotations

import dataclasses

from llmroute import names
from llmroute.encoding import Charge, encode
from llmroute.plan import Limit, Match, Mode, Plan, Route, Selector, Settle
from llmroute.targets import Capabilities


def books(route: Route, limit: Limit) -> bool:
    """Whether the filter charges ``limit`` of ``route`` itself; if not, or if that fails, the proxy does."""
    asked = route.admission.settle is Settle.SYNC and by_usage(route, limit)
    return asked and unreadable(limit) is None


def by_usage(route: Route, limit: Limit) -> bool:
    """Whether an answer charges ``limit`` of ``route`` with what it used."""
    return encode(limit, route.admission).charge is Charge.USAGE


def prepays(route: Route, limit: Limit) -> bool:
    """Whether the filter admits requests by ``limit`` of ``route`` itself. A shadow admits everything."""
    return route.admission.mode is Mode.PREPAID_PROMPT and not limit.shadow


def admits(route: Route) -> bool:
    """Whether the filter admits requests of ``route`` itself, by any of its limits."""
    return any(prepays(route, limit) for _, limit in route.limits())


def owes(route: Route, limit: Limit) -> bool:
    """Whether something of an answer's charge may be paid before its stream is done, so that the rest is due."""
    return books(route, limit) or holds(route, limit) or (prepays(route, limit) and by_usage(route, limit))


def unreadable(limit: Limit) -> Selector | None:
    """The selector of which the filter cannot say whether it matches: Lua has no RE2."""
    return next((selector for selector in limit.selectors if selector.match is Match.REGEX), None)


def holds(route: Route, limit: Limit) -> bool:
    """Whether the check of ``limit`` of ``route`` holds what the request may take."""
    return encode(limit, route.admission).check_cost is Charge.HOLD


def due_key(route: Route, limit: Limit) -> str:
    """Where the filter says what the proxy has still to charge for ``limit`` when the stream is done.

    Each limit has its own: of several charges some may have been made and others not.
    """
    return _key(names.DUE_PREFIX, route, limit)


def paid_key(route: Route, limit: Limit) -> str:
    """Where the filter says what ``limit`` is to be charged on admission."""
    return _key(names.PAID_PREFIX, route, limit)


def refund_key(route: Route, limit: Limit) -> str:
    """Where the filter says what of that the proxy has to give back when the stream is done."""
    return _key(names.REFUND_PREFIX, route, limit)


def _key(prefix: str, route: Route, limit: Limit) -> str:
    return f"{prefix}{[each for _, each in route.limits()].index(limit) + 1}"


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
