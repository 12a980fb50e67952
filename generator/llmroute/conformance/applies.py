"""What a case needs of a gateway, found out from its policy and its steps; and why it does not apply where it lacks."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Final

from llmroute import names
from llmroute.conformance.adapters.plain import plain_plan
from llmroute.conformance.case import Api, Ask, Case, Counted, Pass, Request, Send, Service, Step, Together, Watch
from llmroute.conformance.features import Admission, Feature
from llmroute.conformance.rows import api_of
from llmroute.plan import (
    IncludeUsage,
    Kind,
    Limit,
    Match,
    OnDisconnect,
    OnMissing,
    Plan,
    Route,
    Selector,
    Settle,
    Token,
    Unit,
)

_NO_PORT: Final = 1
"""Where backends are does not matter here."""
_BY_PATH: Final = (
    ("/responses", Feature.RESPONSES),
    ("/embeddings", Feature.EMBEDDINGS),
    ("/converse", Feature.BEDROCK),
    ("/converse-stream", Feature.BEDROCK),
    ("/invoke", Feature.BEDROCK),
)


def plan_of(case: Case) -> Plan:
    """What the policy of a case means."""
    return _plan(case.policy)


@functools.cache
def _plan(policy: str) -> Plan:
    return plain_plan(policy, _NO_PORT)


def limits_of(plan: Plan) -> list[Limit]:
    """The limits in the order in which charges name them."""
    return [limit for route in plan.routes for _, limit in route.limits()]


def needs_of(case: Case) -> frozenset[Feature]:
    """Everything that a gateway must have for the case to tell something of it."""
    plan = plan_of(case)
    found = {feature for limit in limits_of(plan) for feature in _of_limit(limit)}
    found |= {feature for route in plan.routes for feature in _of_route(route)}
    found |= {feature for step in case.steps for feature in _of_step(step)}
    found |= {Feature.ROUTES} if len(plan.routes) > 1 else set()
    found |= {Feature.FAIL_OPEN} if case.fail_open else set()
    nobody = any(request.user is None for step in case.steps for request in requests_of(step))
    found |= {Feature.ANONYMOUS} if nobody and Feature.REQUIRED_USER not in found else set()
    found |= {Feature.RESET} if _shares(case) else set()
    found |= {Feature.COUNTERS} if not _shown(case) else set()
    return case.needs | found


def lacking(case: Case, admission: Admission, features: frozenset[Feature]) -> str:
    """Why the case does not apply to a gateway; empty where it does."""
    if case.admission not in {None, admission}:
        return f"the gateway admits while {admission}"
    if admission is Admission.UP_TO and _zero(case):
        return f"no quantity refuses everything where requests are admitted while {admission}"
    if admission is Admission.HELD and case.admission is None and _crowd_of_tokens(case):
        return f"holds of requests at one time add up where requests are admitted while {admission}"
    missing = sorted(needs_of(case) - features)
    return f"missing: {', '.join(missing)}" if missing else ""


def _crowd_of_tokens(case: Case) -> bool:
    """Whether it has requests at one time pass that a gateway without holds lets pass."""
    together = any(isinstance(step, Together) for step in case.steps)
    return together and any(limit.kind is Kind.TOKENS for limit in limits_of(plan_of(case)))


def _zero(case: Case) -> bool:
    return any(limit.quantity == 0 for limit in limits_of(plan_of(case)))


def _of_limit(limit: Limit) -> Iterator[Feature]:
    if limit.kind is Kind.REQUESTS:
        yield Feature.REQUESTS
    elif limit.counts in {Token.PROMPT, Token.COMPLETION}:
        yield Feature.KINDS
    elif limit.counts is not Token.TOTAL:
        yield Feature.WEIGHTS
    if not limit.selectors:
        yield Feature.OF_ALL
    yield from (feature for selector in limit.selectors for feature in _of_selector(selector))
    special = {
        Feature.SHADOW: limit.shadow,
        Feature.ZERO: limit.quantity == 0,
        Feature.SHORT: limit.unit is Unit.SECOND,
    }
    yield from (feature for feature, has in special.items() if has)


def _of_selector(selector: Selector) -> Iterator[Feature]:
    if selector.match is Match.REGEX:
        yield Feature.PATTERNS
    if selector.header == names.MODEL_HEADER:
        yield Feature.OF_MODELS
        if selector.value == names.UNKNOWN:
            yield Feature.ANY_REQUEST
    elif selector.header != names.USER_HEADER or selector.match is not Match.DISTINCT:
        yield Feature.OF_HEADERS


def _of_route(route: Route) -> Iterator[Feature]:
    if len(route.backends) > 1:
        yield Feature.BACKENDS
    if any(len(backend.limits) + len(route.limits_of_all) > 1 for backend in route.backends):
        yield Feature.SEVERAL
    if route.admission.settle is Settle.SYNC:
        yield Feature.SYNC
    if route.admission.max_tokens is not None:
        yield Feature.MAX_TOKENS
    if route.admission.max_in_flight is not None:
        yield Feature.IN_FLIGHT
    if route.identity.reject:
        yield Feature.REQUIRED_USER
    usage = route.usage
    default = (OnMissing.ESTIMATE, OnDisconnect.CHARGE, IncludeUsage.FORCE)
    if (usage.on_missing, usage.on_disconnect, usage.include_usage) != default:
        yield Feature.UNSAID


def requests_of(step: Step) -> tuple[Request, ...]:
    """The requests that a step sends."""
    if isinstance(step, Send | Watch):
        return (step.request,)
    return step.requests if isinstance(step, Together) else ()


def _of_step(step: Step) -> Iterator[Feature]:
    if isinstance(step, Pass):
        yield Feature.CLOCK
    elif isinstance(step, Service):
        yield Feature.OUTAGE
    elif isinstance(step, Counted):
        yield Feature.COUNTERS
    elif isinstance(step, Ask):
        yield Feature.SDKS
    for request in requests_of(step):
        yield from _of_path(request.path)
    if isinstance(step, Send | Watch) and _unasked(step):
        yield Feature.FORCED_USAGE
    if isinstance(step, Watch):
        yield Feature.TRANSPARENT
        if step.leaves or step.breaks:
            yield Feature.EARLY_END


def _unasked(step: Send | Watch) -> bool:
    """Whether the charge is known only if the gateway asks for the usage of a stream itself."""
    body = step.request.body
    streamed = not isinstance(body, bytes) and body.get("stream") is True
    plain = isinstance(step, Send) and step.script.chunks is None
    return streamed and plain and "stream_options" not in body and any(step.expect.charges)


def _of_path(path: str) -> Iterator[Feature]:
    if (api := api_of(path)) is not Api.OPENAI:
        yield Feature.ANTHROPIC if api is Api.ANTHROPIC else Feature.GEMINI
    plain = path.partition("?")[0]
    yield from (feature for end, feature in _BY_PATH if plain.endswith(end))


def _shares(case: Case) -> bool:
    """Whether it touches counters that are not of its own, new user."""
    everybodys = any(isinstance(step, Counted) and "{user}" not in "".join(step.values) for step in case.steps)
    nobody = any(request.user is None for step in case.steps for request in requests_of(step))
    return everybodys or nobody or any("user" not in subject for subject in case.subjects)


def _shown(case: Case) -> bool:
    """Whether something beside counters can go wrong on every gateway: a refusal, another status, what a body says."""
    plain = [step for step in case.steps if isinstance(step, Send)]
    seen = any(step.expect.statuses != (200,) or step.expect.told or step.expect.says for step in plain)
    return seen or len(plain) < len(case.steps)
