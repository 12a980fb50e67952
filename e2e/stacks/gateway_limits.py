"""How Envoy Gateway tells the ratelimit service about shared limits, and so what their counters are called.

The naming is Envoy Gateway's own (PLATFORM 2.21): domain and first entry are of the policy's name, then comes
an entry for each header of the rule, or one for the rule where it has none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from e2e.stacks.host_documents import Document, rules_of
from llmroute.limiter.limiter import counter_key
from llmroute.plan import Unit


@dataclass(frozen=True, slots=True)
class GatewayLimit:
    """A rule of a BackendTrafficPolicy. A value of None is the request's own."""

    domain: str
    entries: tuple[tuple[str, str | None], ...]
    requests: int
    unit: Unit
    charged: bool
    shadow: bool = False

    @property
    def shown(self) -> str:
        """Its line in ratelimit's ``/rlconfig``."""
        path = ".".join(key if value is None else f"{key}_{value}" for key, value in self.entries)
        limit = f"unit={self.unit.upper()} requests_per_unit={self.requests}"
        return f"{self.domain}.{path}: {limit}, shadow_mode: {str(self.shadow).lower()}, quota_mode: false"

    @property
    def actions(self) -> int:
        """How many ``rate_limits`` Envoy has for it: the check, and the charge."""
        return 1 + self.charged

    def counter(self, values: Iterable[str], start: int) -> str:
        """Key of the counter of these values of its Distinct headers, in the window that began at ``start``."""
        rest = iter(values)
        return counter_key(
            self.domain, [(key, next(rest) if fixed is None else fixed) for key, fixed in self.entries], start
        )


def limits_of(documents: Iterable[Document]) -> list[GatewayLimit]:
    """The limits of all BackendTrafficPolicies, in order."""
    policies = [document for document in documents if document["kind"] == "BackendTrafficPolicy"]
    return [_limit(policy, i, rule) for policy in policies for i, rule in enumerate(rules_of(policy))]


def _limit(policy: Document, index: int, rule: Mapping[str, Any]) -> GatewayLimit:
    domain = f"{policy['metadata']['namespace']}/{policy['metadata']['name']}"
    first = f"{domain}/rule/{index}"
    return GatewayLimit(
        domain,
        ((first, first), *_entries(index, rule)),
        rule["limit"]["requests"],
        Unit(rule["limit"]["unit"]),
        "response" in rule.get("cost", {}),
        rule.get("shadowMode", False),
    )


def _entries(index: int, rule: Mapping[str, Any]) -> Iterator[tuple[str, str | None]]:
    headers = [header for selector in rule.get("clientSelectors", []) for header in selector["headers"]]
    for place, header in enumerate(headers):
        key = f"rule-{index}-match-{place}"
        yield key, None if header["type"] == "Distinct" else key
    if not headers:
        key = f"rule-{index}-match--1"
        yield key, key
