"""Checks of ``spec.admission``: what a target's rate limit service cannot do is refused, never ignored."""

from __future__ import annotations

import dataclasses

import pytest

from llmroute.diagnostic import Severity
from llmroute.targets import COMPOSE, ENVOY, ENVOY_GATEWAY, Capabilities, capabilities
from tests.policies import findings, limit, route, rule, with_spec
from tests.unit.test_check import backend

POLICY = route(rule(limit(1)))


@pytest.mark.parametrize("target", [ENVOY_GATEWAY, ENVOY, COMPOSE])
def test_a_reservation_needs_refunds(target: str) -> None:
    """No target has them by itself; ``llmroute run --ratelimit embedded`` has."""
    policy = with_spec(POLICY, admission={"mode": "Reserve", "maxTokens": 10})
    ((code, record),) = findings(policy, backend("llm"), target=target)
    assert (code, record.severity) == ("LR042", Severity.ERROR)
    assert record.origin.path == ("spec", "admission", "mode")
    assert f"{target}'s rate limit service cannot" in record.message
    assert findings(policy, backend("llm"), target=embedded()) == []


def embedded() -> Capabilities:
    """A plain Envoy whose rate limit service takes refunds."""
    return dataclasses.replace(capabilities(ENVOY), refunds=True)


def test_a_reservation_needs_a_longest_answer() -> None:
    """Nothing else bounds what it holds."""
    policy = with_spec(POLICY, admission={"mode": "Reserve"})
    ((code, record),) = findings(policy, backend("llm"), target=embedded())
    assert (code, record.severity, record.hint) == ("LR050", Severity.ERROR, "add spec.admission.maxTokens")
    assert record.origin.path == ("spec", "admission", "mode")


def test_a_reservation_looks_like_a_request_limit_of_its_quantity() -> None:
    """Its service is told N, not N - 1, so others look alike than ever."""
    limits = [limit(100), limit(100, "Request"), limit(99, "Request")]
    policy = with_spec(route(rule(*limits)), admission={"mode": "Reserve", "maxTokens": 10})
    ((code, record),) = findings(policy, backend("llm"), target=embedded())
    assert (code, record.origin.path[-2]) == ("LR019", 1)
    ((code, record),) = findings(with_spec(policy, admission={"maxTokens": 10}), backend("llm"), target=embedded())
    assert (code, record.origin.path[-2]) == ("LR019", 2)


@pytest.mark.parametrize(
    "field", [{"mode": "PostPaid"}, {"settle": "Async"}, {"maxTokens": 1}, {"maxInFlight": 1}, {}], ids=str
)
def test_what_is_carried_out(field: dict[str, str | int]) -> None:
    """No finding."""
    assert findings(with_spec(POLICY, admission=field)) == []
