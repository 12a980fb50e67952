"""The limits of a policy in LiteLLM's words. Pure.

LiteLLM has limits of tokens and of requests (``tpm``, ``rpm``) for a key, a team, a model of a key and a model of a project.
A user is a key, everybody is a team, and a model for everybody is a model of a project: its limits for a deployment are of
minutes by the clock alone, and a team's for a model give way where a key has its own. How long a window is and which tokens
count is said once for the whole proxy (``LITELLM_RATE_LIMIT_WINDOW_SIZE``, ``token_rate_limit_type``).
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from llmroute import names
from llmroute.conformance.adapters.protocol import Unfit
from llmroute.plan import Kind, Limit, Match, Plan, Selector, Token, Unit

_COUNTS: Final = {Token.TOTAL: "total", Token.PROMPT: "input", Token.COMPLETION: "output"}
"""What LiteLLM calls the tokens that count."""


class Scope(enum.StrEnum):
    """Whose a limit is, by the word that LiteLLM's counters begin with."""

    KEY = "api_key"
    TEAM = "team"
    MODEL_OF_KEY = "model_per_key"
    MODEL_OF_PROJECT = "model_per_project"


@dataclass(frozen=True, slots=True)
class Given:
    """A limit as LiteLLM gets it. ``model`` None of a scope of models is each model.

    ``values``: which of user and model the values of its counter are, in the policy's order.
    """

    scope: Scope
    kind: Kind
    quantity: int
    model: str | None
    values: tuple[str, ...]

    def counter(self, generation: str, values: Sequence[str]) -> str:
        """The name of its counter in Redis, for these values."""
        said = dict(zip(self.values, values, strict=True))
        who = f"{generation}-{said['user']}" if "user" in said else generation
        model = said.get("model", self.model)
        of = f"{who}:{model}" if model is not None else who
        return f"{{{self.scope}:{of}}}:{self.kind}"


@dataclass(frozen=True, slots=True)
class Limits:
    """All that a policy says. ``window`` is in seconds; ``counts`` the tokens that do: total, input or output."""

    window: int
    counts: str
    given: tuple[Given, ...]

    def table(self, generation: str) -> dict[str, Any]:
        """What ``custom_auth`` needs, in plain values: the fields of a ``UserAPIKeyAuth`` by whose they are.

        ``generation`` begins the names of keys, teams and projects: under another one all counters begin at 0.
        """
        return {"generation": generation, **{scope.value: self._of(scope) for scope in Scope}}

    def _of(self, scope: Scope) -> dict[str, dict[str, int]]:
        """``tpm`` and ``rpm`` by model, ``""`` for every model."""
        found: dict[str, dict[str, int]] = {}
        for each in self.given:
            if each.scope is scope:
                name = "tpm" if each.kind is Kind.TOKENS else "rpm"
                found.setdefault(each.model or "", {})[name] = each.quantity
        return found


def translate(plan: Plan) -> Limits:
    """The limits of a policy of one route.

    Raises:
        Unfit: LiteLLM has no words for one of them; says which.
    """
    limits = [limit for route in plan.routes for _, limit in route.limits()]
    units = sorted({limit.unit for limit in limits}, key=lambda unit: unit.seconds)
    if len(units) > 1:
        raise Unfit(f"LiteLLM has windows of one length, not {_listed(unit.lower() for unit in units)}")
    return Limits((units or [Unit.MINUTE])[0].seconds, _counts(limits), _given(limits))


def _counts(limits: Iterable[Limit]) -> str:
    counted = [limit.counts for limit in limits if limit.kind is Kind.TOKENS]
    kinds = {_COUNTS[each] for each in counted if isinstance(each, Token)}
    if len(kinds) > 1:
        raise Unfit(f"LiteLLM counts one kind of tokens, not {_listed(sorted(kinds))}")
    if any(not isinstance(each, Token) for each in counted):
        raise Unfit("LiteLLM has no prices for kinds of tokens")
    return next(iter(kinds), "total")


def _given(limits: Iterable[Limit]) -> tuple[Given, ...]:
    found: list[Given] = []
    for limit in limits:
        if limit.shadow:
            raise Unfit("LiteLLM has no limit that never refuses")
        given = Given(*_whose(limit.selectors, limit), limit.quantity, *_values(limit.selectors))
        if any((each.scope, each.kind, each.model) == (given.scope, given.kind, given.model) for each in found):
            raise Unfit(f"LiteLLM has one limit of {given.kind} for each {given.scope}, not two")
        found.append(given)
    return tuple(found)


def _whose(selectors: Iterable[Selector], limit: Limit) -> tuple[Scope, Kind]:
    headers = {selector.header for selector in selectors}
    for selector in selectors:
        known = selector.header in {names.USER_HEADER, names.MODEL_HEADER} and selector.match is not Match.REGEX
        if not known or (selector.header == names.USER_HEADER and selector.match is not Match.DISTINCT):
            raise Unfit(f"LiteLLM has no limit of {selector.header} by {selector.match}")
    by_user, by_model = names.USER_HEADER in headers, names.MODEL_HEADER in headers
    of_models = Scope.MODEL_OF_KEY if by_user else Scope.MODEL_OF_PROJECT
    return of_models if by_model else Scope.KEY if by_user else Scope.TEAM, limit.kind


def _values(selectors: Iterable[Selector]) -> tuple[str | None, tuple[str, ...]]:
    """The one model that is meant, and what the values of Distinct headers are."""
    of = {names.USER_HEADER: "user", names.MODEL_HEADER: "model"}
    model = next((each.value for each in selectors if each.header == names.MODEL_HEADER), None)
    return model, tuple(of[each.header] for each in selectors if each.match is Match.DISTINCT)


def _listed(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}"
