"""Policies as hypothesis draws them, and what a limit of one means in the words of the reference limiter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import hypothesis.strategies as st

from llmroute import names
from llmroute.conformance import policies
from llmroute.conformance.policies import USERS, header
from llmroute.limiter.semantics import PolicyLimit
from llmroute.limiter.window import Unit

EACH_MODEL: Final = header(names.MODEL_HEADER, "Distinct")
ONE_MODEL: Final = "model-a"
LEVELS: Final[Mapping[str, list[dict[str, Any]]]] = {
    "all": [],
    "user": [*USERS],
    "one model": [header(names.MODEL_HEADER, "Exact", ONE_MODEL)],
    "each model": [EACH_MODEL],
    "user and one model": [header(names.MODEL_HEADER, "Exact", ONE_MODEL), *USERS],
    "user and each model": [EACH_MODEL, *USERS],
}
"""The headers of a rule."""
Kind = Literal["Request", "Total", "Prompt", "Completion"]
Subject = tuple[tuple[str, str], ...]
"""The values that a counter is of, by the names of their headers."""
Numbers = tuple[int, int, int]
"""Tokens of prompt, of completion, and in total, which need not be their sum."""


@dataclass(frozen=True)
class Drawn:
    """A limit as it was drawn."""

    level: str
    kind: Kind
    quantity: int
    unit: Unit
    shadow: bool

    def spec(self) -> dict[str, Any]:
        """As a policy has it."""
        more: dict[str, Any] = {"shadow": True} if self.shadow else {}
        if self.kind == "Request":
            return policies.limit(self.quantity, "Request", self.unit.name.capitalize(), **more)
        return policies.limit(self.quantity, "Token", self.unit.name.capitalize(), token=self.kind, **more)

    def subject(self, user: str, model: str) -> Subject | None:
        """Whose counter a request moves; None for one that the limit is not about."""
        if "one model" in self.level and model != ONE_MODEL:
            return None
        who = ((names.USER_HEADER, user),) if "user" in self.level else ()
        what = ((names.MODEL_HEADER, model),) if "each model" in self.level else ()
        return tuple(sorted((*who, *what)))

    @property
    def shadow_of_requests(self) -> bool:
        """It counts as limits of tokens do, when an answer ends."""
        return self.shadow and self.kind == "Request"

    @property
    def never_admits(self) -> bool:
        """A limit of no tokens: as its counter never moves otherwise, its check costs 1."""
        return self.quantity == 0 and not self.shadow and self.kind != "Request"

    def meant(self, name: str) -> PolicyLimit:
        """In the reference's words, for one counter."""
        at_once = self.kind == "Request" and not self.shadow
        return PolicyLimit(name, "Request" if at_once else "Token", self.quantity, self.unit, self.shadow)

    def amount(self, numbers: Numbers) -> int:
        """What an answer costs that has ended."""
        return {"Request": 1, "Prompt": numbers[0], "Completion": numbers[1], "Total": numbers[2]}[self.kind]


LIMITS: Final = st.builds(
    Drawn,
    level=st.sampled_from(list(LEVELS)),
    kind=st.sampled_from(("Request", "Total", "Prompt", "Completion")),
    quantity=st.integers(0, 12),
    unit=st.sampled_from((Unit.SECOND, Unit.MINUTE, Unit.HOUR, Unit.DAY)),
    shadow=st.sampled_from((False, False, False, True)),
)
POLICIES: Final = st.tuples(st.lists(LIMITS, min_size=1, max_size=4), st.lists(LIMITS, max_size=2))
"""Limits of a backend, and of all backends."""


def policy_of(of_backend: list[Drawn], of_all: list[Drawn]) -> str:
    """The LLMRoute: each limit in a rule of its own."""
    rules, more = ([policies.rule(d.spec(), headers=LEVELS[d.level]) for d in each] for each in (of_backend, of_all))
    return policies.text(policies.with_spec(policies.route(*rules), more))
