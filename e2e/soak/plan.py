"""What a soak is to do, and the policy that it does it with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from llmroute.conformance.policies import header, limit, route, rule, text
from llmroute.names import MODEL_HEADER, USER_HEADER

_EVERYTHING: Final = 1_000_000_000
"""Tokens that nobody uses up in a soak."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done. ``quantity`` tokens has every user; the heavy ones use them up."""

    users: int
    clients: int
    seconds: float
    restarts: int
    quantity: int
    seed: int

    @property
    def policy(self) -> str:
        """Every level and every kind of token, in windows that do not end in between."""
        user, model = header(USER_HEADER, "Distinct"), header(MODEL_HEADER, "Distinct")
        everything = limit(_EVERYTHING, unit="Year")
        return text(
            route(
                rule(everything),
                rule(limit(self.quantity, unit="Year"), headers=[user]),
                rule(
                    limit(_EVERYTHING, unit="Year", token="Prompt"),
                    limit(_EVERYTHING, unit="Year", token="Completion"),
                    headers=[model],
                ),
                rule(everything, headers=[user, model]),
            )
        )
