"""The emitted encoding of a limit (N - 1, zero-cost checks) admits what the policy says."""

from __future__ import annotations

from dataclasses import dataclass

import hypothesis.strategies as st
from hypothesis import given

from llmroute.limiter import Code, Decision, Descriptor, Limiter, Unit, parse
from llmroute.limiter.semantics import PolicyLimit, ReferenceLimiter

Policy = tuple[PolicyLimit, ...]


class Encoded:
    """What stock proxies do with a policy: one call to the service before a request, one at its end.

    A Token limit of N is N - 1 there, checked with 0 hits; a quantity of 0 is a limit of 0 whose check
    costs 1. A Request limit is itself, and its check counts.
    """

    def __init__(self, policy: Policy, clock: Clock) -> None:
        self._policy = policy
        descriptors = [
            f"{{key: limit, value: {i}, shadow_mode: {str(limit.shadow).lower()}, rate_limit: "
            f"{{unit: {limit.unit.name}, requests_per_unit: {_rate(limit)}}}}}"
            for i, limit in enumerate(policy)
        ]
        config = f"domain: d\ndescriptors: [{', '.join(descriptors)}]"
        self._limiter = Limiter([parse(config, "test")], clock)

    def check(self, policy: Policy) -> Decision:
        """Make the call before a request."""
        free = [limit.type == "Token" and limit.quantity > 0 for limit in policy]
        return self._call(policy, [0 if each else 1 for each in free])

    def charge(self, policy: Policy, tokens: int) -> None:
        """Make the call at the end of an answer."""
        charged = tuple(limit for limit in policy if limit.type == "Token")
        if charged:
            self._call(charged, [tokens] * len(charged))

    def _call(self, policy: Policy, hits: list[int]) -> Decision:
        descriptors = [
            Descriptor((("limit", str(self._policy.index(limit))),), n) for limit, n in zip(policy, hits, strict=True)
        ]
        return self._limiter.should_rate_limit("d", descriptors)


def _rate(limit: PolicyLimit) -> int:
    return max(0, limit.quantity - 1) if limit.type == "Token" else limit.quantity


@dataclass
class Clock:
    """Says what the traffic says."""

    now: float = 1e9

    def __call__(self) -> float:
        """Say the time, in Unix seconds."""
        return self.now


@dataclass(frozen=True)
class Begin:
    """A request, to which the limits at these places of the policy apply."""

    places: frozenset[int]


@dataclass(frozen=True)
class End:
    """An answer that ends, among those in flight, with what it took."""

    which: int
    tokens: int


@dataclass(frozen=True)
class Wait:
    """Time that passes, in seconds; often across a window's border."""

    seconds: float


def limits(types: list[str]) -> st.SearchStrategy[PolicyLimit]:
    """Limits of small quantities, so that short traffic uses them up."""
    return st.builds(
        PolicyLimit,
        subject=st.sampled_from(["amy", "ben", "all", "model"]),
        type=st.sampled_from(types),
        quantity=st.integers(0, 6),
        unit=st.sampled_from([Unit.SECOND, Unit.MINUTE, Unit.HOUR]),
        shadow=st.booleans(),
    )


def policies(types: list[str], most: int) -> st.SearchStrategy[Policy]:
    """Policies of up to ``most`` different limits."""
    return st.lists(limits(types), min_size=1, max_size=most, unique=True).map(tuple)


TRAFFIC = st.lists(
    st.one_of(
        st.builds(Begin, st.frozensets(st.integers(0, 3), min_size=1)),
        st.builds(Begin, st.just(frozenset(range(4)))),
        st.builds(End, st.integers(0, 9), st.integers(0, 5)),
        st.builds(Wait, st.sampled_from([0.25, 1.0, 20.0, 60.0, 3600.0])),
    ),
    max_size=40,
)


def drive(policy: Policy, traffic: list[Begin | End | Wait], *, refused_count_as_requests: bool) -> None:
    """Send the same traffic to both, and compare every decision and what it says to be left."""
    clock = Clock()
    encoded = Encoded(policy, clock)
    reference = ReferenceLimiter(clock, refused_count_as_requests=refused_count_as_requests)
    in_flight: list[Policy] = []
    for event in traffic:
        match event:
            case Begin(places):
                applying = tuple(policy[i] for i in sorted(places) if i < len(policy))
                if applying and both_admit(applying, encoded, reference):
                    in_flight.append(applying)
            case End(which, tokens) if in_flight:
                applying = in_flight.pop(which % len(in_flight))
                encoded.charge(applying, tokens)
                reference.charge(applying, tokens)
            case Wait(seconds):
                clock.now += seconds


def both_admit(applying: Policy, encoded: Encoded, reference: ReferenceLimiter) -> bool:
    """Ask both about a request; they have to agree."""
    left = [reference.remaining(limit) for limit in applying]
    admitted = reference.admit(applying)
    decision = encoded.check(applying)
    assert (decision.code == Code.OK) == admitted
    for limit, remaining, status in zip(applying, left, decision.statuses, strict=True):
        if admitted and not limit.shadow:
            # A check before tokens are known leaves one more than N - 1 says; a request takes 1 at once.
            assert remaining == status.remaining + 1
    return admitted


@given(policies(["Token"], 4), TRAFFIC)
def test_token_limits_admit_exactly_what_the_policy_says(policy: Policy, traffic: list[Begin | End | Wait]) -> None:
    """Any number of them, on any requests, with answers in flight across windows."""
    drive(policy, traffic, refused_count_as_requests=False)


@given(policies(["Request"], 1), TRAFFIC)
def test_a_request_limit_admits_exactly_what_the_policy_says(policy: Policy, traffic: list[Begin | End | Wait]) -> None:
    """The counter runs on past the limit, which changes no decision."""
    drive(policy, traffic, refused_count_as_requests=False)


@given(policies(["Request", "Token"], 4), TRAFFIC)
def test_mixed_limits_count_refused_requests_as_requests_and_differ_in_nothing_else(
    policy: Policy, traffic: list[Begin | End | Wait]
) -> None:
    """The one deviation that ``semantics`` names: a request that another limit refuses has been counted."""
    drive(policy, traffic, refused_count_as_requests=True)
