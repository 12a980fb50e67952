"""What a limit is charged for a request, and when, in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from llmroute.plan import Kind, Limit, Mode, Route, Settle, Token, Weights
from llmroute.settlement import books

_ADMITTED: Final = "on admission"
_BEFORE: Final = "before the answer's last byte goes on"
_AFTER: Final = "just after the answer's end"


@dataclass(frozen=True, slots=True)
class Charge:
    """``what`` is added to the counter, ``when``."""

    when: str
    what: str


def charges(route: Route, limit: Limit) -> tuple[Charge, ...]:
    """Of a request that is admitted, in order; one that is refused pays ``limit`` at most what its check costs."""
    return tuple(_charges(route, limit))


def _charges(route: Route, limit: Limit) -> Iterator[Charge]:
    end = _BEFORE if route.admission.settle is Settle.SYNC and books(route, limit) else _AFTER
    if limit.shadow:
        yield Charge(_AFTER if limit.kind is Kind.REQUESTS else end, _answer(limit))
    elif limit.quantity == 0:
        yield Charge(_ADMITTED, "1, against 0: no request is admitted")
    elif limit.kind is Kind.REQUESTS:
        yield Charge(_ADMITTED, "1")
    elif route.admission.mode is Mode.RESERVE:
        yield Charge(_ADMITTED, f"the prompt's estimate and maxTokens, as {_tokens(limit)}")
        yield Charge(end, f"the rest of {_answer(limit)}; what was not used is given back")
    elif route.admission.mode is Mode.PREPAID_PROMPT and limit.counts is not Token.COMPLETION:
        yield Charge(_ADMITTED, f"the prompt's estimate, as {_tokens(limit)}")
        yield Charge(end, f"the rest of {_answer(limit)}; nothing is given back")
    else:
        yield Charge(end, _answer(limit))


def _answer(limit: Limit) -> str:
    return "1" if limit.kind is Kind.REQUESTS else f"the answer's {_tokens(limit)}"


def _tokens(limit: Limit) -> str:
    return "weighted tokens" if isinstance(limit.counts, Weights) else f"{limit.counts.lower()} tokens"
