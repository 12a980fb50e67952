"""What an edit changes: limits that come, go, or become tighter or looser, and the terms beside them."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from llmroute.check.counters import by_place, moved, name_of
from llmroute.check.order import never_later
from llmroute.diagnostic import Diagnostic
from llmroute.plan import Backend, Identity, Jwt, Limit, Plan, Route
from llmroute.targets import Capabilities


class Change(enum.StrEnum):
    """What became of something. ``CHANGED`` is neither tighter nor looser for every request."""

    ADDED = "added"
    REMOVED = "removed"
    TIGHTENED = "tightened"
    LOOSENED = "loosened"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Placed:
    """A limit in its route, at its ``index`` among all limits."""

    route: Route
    index: int
    backend: Backend | None
    limit: Limit


@dataclass(frozen=True, slots=True)
class LimitChange:
    """``old`` is None for a limit that is new, ``new`` for one that is gone.

    ``restarts``: the limit stays, and its counter has another name, so that it counts from zero.
    """

    change: Change
    old: Placed | None
    new: Placed | None
    restarts: bool = False


@dataclass(frozen=True, slots=True)
class TermChange:
    """A field of the LLMRoute beside its limits, with what it said and says; an empty text is nothing."""

    field: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class RouteChange:
    """``change`` is None for a route that stays. ``counters`` say what becomes of live ones (LR045, LR046)."""

    name: tuple[str, str]
    change: Change | None
    limits: tuple[LimitChange, ...]
    terms: tuple[TermChange, ...]
    counters: tuple[Diagnostic, ...]


def difference(old: Plan, new: Plan, target: Capabilities) -> tuple[RouteChange, ...]:
    """Every route in which something differs, those of ``new`` first. What means the same is no difference."""
    before, after = ({name_of(route): route for route in plan.routes} for plan in (old, new))
    found = (_of_route(name, before.get(name), after.get(name), target) for name in {**after, **before})
    return tuple(each for each in found if each.change or each.limits or each.terms or each.counters)


def _of_route(name: tuple[str, str], old: Route | None, new: Route | None, target: Capabilities) -> RouteChange:
    change = Change.ADDED if old is None else Change.REMOVED if new is None else None
    limits = tuple(_limits(_placed(old), _placed(new), target))
    if old is None or new is None:
        return RouteChange(name, change, limits, (), ())
    return RouteChange(name, None, limits, tuple(_terms(old, new)), moved(Plan((old,)), Plan((new,)), target))


def _placed(route: Route | None) -> list[Placed]:
    return [Placed(route, i, *each) for i, each in enumerate(route.limits())] if route else []


def _limits(old: list[Placed], new: list[Placed], target: Capabilities) -> Iterator[LimitChange]:
    """In the order of the new ones, then what is gone."""
    pairs = _pairs(old, new)
    for each in new:
        former = pairs.get(id(each))
        change = _change(former.limit, each.limit) if former else Change.ADDED
        if change:
            restarts = former is not None and _counter(former, target) != _counter(each, target)
            yield LimitChange(change, former, each, restarts=restarts)
    kept = {id(each) for each in pairs.values()}
    yield from (LimitChange(Change.REMOVED, each, None) for each in old if id(each) not in kept)


def _pairs(old: list[Placed], new: list[Placed]) -> Mapping[int, Placed]:
    """The old limit of each new one that has one, by the new one's ``id()``: for the same requests, the most alike."""
    pairs: dict[int, Placed] = {}
    free = list(old)
    for alike in (_everything, _but_the_quantity, _but_the_counting, _subject):
        for each in new:
            former = next((f for f in free if alike(f) == alike(each)), None) if id(each) not in pairs else None
            if former:
                pairs[id(each)] = former
                free = [f for f in free if f is not former]
    return pairs


def _counter(placed: Placed, target: Capabilities) -> object:
    """Equal where one counter is meant."""
    if target.counts_by_place:
        return by_place(placed.index, placed.route, placed.backend, placed.limit)
    return placed.limit.id


def _subject(placed: Placed) -> tuple[object, ...]:
    owner = placed.backend.name if placed.backend else None
    return owner, placed.limit.kind, frozenset((s.header, s.match, s.value) for s in placed.limit.selectors)


def _but_the_counting(placed: Placed) -> tuple[object, ...]:
    return *_subject(placed), placed.limit.unit


def _but_the_quantity(placed: Placed) -> tuple[object, ...]:
    return *_but_the_counting(placed), placed.limit.counts


def _everything(placed: Placed) -> tuple[object, ...]:
    return *_but_the_quantity(placed), placed.limit.quantity, placed.limit.shadow


def _change(old: Limit, new: Limit) -> Change | None:
    if _terms_of(old) == _terms_of(new):
        return None
    tighter, looser = _as_tight(new, old), _as_tight(old, new)
    if tighter == looser:
        return Change.CHANGED
    return Change.TIGHTENED if tighter else Change.LOOSENED


def _terms_of(limit: Limit) -> tuple[object, ...]:
    return limit.kind, limit.counts, limit.unit, limit.quantity, limit.shadow


def _as_tight(one: Limit, other: Limit) -> bool:
    return other.shadow or (not one.shadow and never_later(one, other))


def _terms(old: Route, new: Route) -> Iterator[TermChange]:
    before, after = _said(old), _said(new)
    for field in {**after, **before}:
        if before.get(field, "") != after.get(field, ""):
            yield TermChange(field, before.get(field, ""), after.get(field, ""))


def _said(route: Route) -> Mapping[str, str]:
    """What the policy says beside its limits, as it writes it. No key and no secret is in it."""
    admission, usage, identity = route.admission, route.usage, route.identity
    return {
        "spec.targetRefs": _list(gateway.name for gateway in route.gateways),
        "spec.backends": _list(backend.name for backend in route.backends),
        **{f"spec.backends[{b.name}].models": _list(b.models) for b in route.backends},
        "spec.identity.header": identity.header,
        "spec.identity.onMissing": "Reject" if identity.reject else "Anonymous",
        "spec.identity.jwt": _jwt(identity.jwt),
        "spec.identity.apiKey": _api_key(identity),
        "spec.usage.onMissing": usage.on_missing.value,
        "spec.usage.fixedTokens": str(usage.fixed_tokens or ""),
        "spec.usage.onDisconnect": usage.on_disconnect.value,
        "spec.usage.includeUsage": usage.include_usage.value,
        "spec.admission.mode": admission.mode.value,
        "spec.admission.settle": admission.settle.value,
        "spec.admission.maxTokens": _number(admission.max_tokens),
        "spec.admission.maxInFlight": _number(admission.max_in_flight),
    }


def _list(values: Iterable[str]) -> str:
    return ", ".join(values)


def _number(value: int | None) -> str:
    return "" if value is None else str(value)


def _jwt(jwt: Jwt | None) -> str:
    if jwt is None:
        return ""
    keys = jwt.uri or "keys in the policy"
    issuer, audiences = jwt.issuer or "any issuer", _list(jwt.audiences) or "any audience"
    return f"claim {'.'.join(jwt.claim)} of {jwt.name} ({issuer}; {audiences}; {keys})"


def _api_key(identity: Identity) -> str:
    api_key = identity.api_key
    if api_key is None:
        return ""
    return f"Secrets {_list(api_key.secrets)}; from {_list((*api_key.headers, *api_key.params, *api_key.cookies))}"
