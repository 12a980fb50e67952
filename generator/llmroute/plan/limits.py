"""What limits count, for whom, and in which windows."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from decimal import Decimal

from llmroute.diagnostic import Origin
from llmroute.limiter import window


class Match(enum.StrEnum):
    """How a selector compares a header. ``DISTINCT`` matches any value and counts each apart."""

    EXACT = "Exact"
    REGEX = "RegularExpression"
    DISTINCT = "Distinct"


class Kind(enum.StrEnum):
    """What a limit counts; the value is the suffix of the response headers."""

    TOKENS = "tokens"
    REQUESTS = "requests"


class Token(enum.StrEnum):
    """Which tokens of an answer a limit counts."""

    TOTAL = "Total"
    PROMPT = "Prompt"
    COMPLETION = "Completion"


class Unit(enum.StrEnum):
    """A fixed window, aligned to the Unix epoch."""

    SECOND = "Second"
    MINUTE = "Minute"
    HOUR = "Hour"
    DAY = "Day"
    WEEK = "Week"
    MONTH = "Month"
    YEAR = "Year"

    @property
    def seconds(self) -> int:
        """Length of the window in seconds; a month has 30 days, a year 365."""
        return window.Unit[self.name].seconds


@dataclass(frozen=True, slots=True)
class Weights:
    """What a token of each kind costs, at most six decimals; the sum over an answer is rounded up.

    ``prompt`` is for prompt tokens that neither came from a cache nor went into one, ``completion`` for those
    that are no reasoning.
    """

    prompt: Decimal
    cached_prompt: Decimal
    cache_write: Decimal
    completion: Decimal
    reasoning: Decimal


@dataclass(frozen=True, slots=True)
class Selector:
    """One condition on a request header; ``header`` is lower case."""

    header: str
    match: Match
    value: str | None
    origin: Origin


@dataclass(frozen=True, slots=True)
class Limit:
    """One quantity per window, for the requests that all ``selectors`` match.

    ``counts`` says which tokens, of a token limit. A ``shadow`` counts and never refuses.

    ``id`` is unique in its route and derives from what the limit counts, not from its place or
    quantity: a counter lives on when other limits come and go, or when the quantity changes.
    """

    id: str
    kind: Kind
    quantity: int
    unit: Unit
    selectors: tuple[Selector, ...]
    origin: Origin
    counts: Token | Weights = Token.TOTAL
    shadow: bool = False

    @property
    def costs(self) -> Weights:
        """What a token of each kind costs; without weights 1, or nothing where its kind is not counted."""
        if isinstance(self.counts, Weights):
            return self.counts
        prompt, completion = Decimal(self.counts is not Token.COMPLETION), Decimal(self.counts is not Token.PROMPT)
        return Weights(prompt, prompt, prompt, completion, completion)

    @property
    def dearest(self) -> tuple[Decimal, Decimal]:
        """The most that a token of the prompt and one of the answer cost."""
        costs = self.costs
        return max(costs.prompt, costs.cached_prompt, costs.cache_write), max(costs.completion, costs.reasoning)
