"""Random traffic on random policies: a machine of hypothesis, whose every step is held against the reference limiter.

What a limit means is said by ``llmroute.limiter.semantics``, and which limits a request meets by ``Drawn.subject``;
nothing of the compiler, the filter or the service is asked. After each step the gateway is at rest but for the answers
that are held, so every counter is compared, and for equality.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from e2e.drawn import ONE_MODEL, POLICIES, Drawn, Numbers, Subject, policy_of
from llmroute import names
from llmroute.conformance.adapters.local import LocalStack
from llmroute.conformance.case import HELLO, Request
from llmroute.conformance.exchange import WITHIN, Sender, read_bytes, wait_for
from llmroute.conformance.rows import SSE, STREAM, UNASKED, data, delta, usage
from llmroute.conformance.together import Flight
from llmroute.conformance.upstream import Chunk, Script
from llmroute.limiter.semantics import PolicyLimit, ReferenceLimiter
from llmroute.local.settled import settle
from llmroute.testing.clock import BEGIN
from llmroute.testing.counters import counters

Met = tuple[tuple[Drawn, PolicyLimit], ...]
"""The limits that a request meets."""


@dataclass
class Held:
    """An answer that has not begun: a request that was admitted."""

    flight: Flight
    name: str
    met: Met
    numbers: Numbers


WHO: Final = st.sampled_from(("amy", "ben", None))
MODELS: Final = st.sampled_from((ONE_MODEL, "model-b"))
NUMBERS: Final = st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 9))
PAUSES: Final = st.sampled_from((0.25, 1.0, 20.0, 60.0, 3600.0, 86400.0))


class Traffic(RuleBasedStateMachine):
    """Requests, answers and time at the gateway of ``stack``, and at the reference beside it."""

    stack: ClassVar[LocalStack]

    def __init__(self) -> None:
        super().__init__()
        self.limits: list[Drawn] = []
        self.reference = ReferenceLimiter(lambda: self.stack.now, refused_count_as_requests=True)
        self.known: dict[tuple[int, Subject], PolicyLimit] = {}
        self.held: list[Held] = []

    @initialize(policy=POLICIES)
    def put_in_force(self, policy: tuple[list[Drawn], list[Drawn]]) -> None:
        """A policy, at the first second of every window."""
        self.limits = [*policy[0], *policy[1]]
        self.stack.now = BEGIN
        self.stack.apply(policy_of(*policy))

    @rule(user=WHO, model=MODELS, numbers=NUMBERS, asked=st.sampled_from(({}, STREAM, UNASKED)), forged=st.booleans())
    def ask(self, user: str | None, model: str, numbers: Numbers, asked: dict[str, Any], *, forged: bool) -> None:
        """A request and its answer, in one piece or as a stream; some name another model in the header."""
        met, admitted = self.admit(user, model)
        answer = self.sender(user).exchange(request(user, model, asked, forged=forged), reporting(numbers))
        self.decided(answer.status, 200, reached=answer.served is not None, admitted=admitted)
        if admitted:
            self.charge(met, numbers)

    @rule(user=WHO, model=MODELS, numbers=NUMBERS, status=st.sampled_from((400, 429, 503)))
    def fail(self, user: str | None, model: str, numbers: Numbers, status: int) -> None:
        """The upstream answers with an error, and usage in it, which costs nothing."""
        met, admitted = self.admit(user, model)
        body = json.dumps({"error": {"message": "not ours"}, "usage": usage_of(numbers)})
        script = Script(status=status, body=body, headers={"content-type": "application/json"})
        answer = self.sender(user).exchange(request(user, model, {}), script)
        self.decided(answer.status, status, reached=answer.served is not None, admitted=admitted)
        if admitted:
            self.charge(met, (0, 0, 0))

    @rule(user=WHO, model=MODELS, numbers=NUMBERS)
    def leave(self, user: str | None, model: str, numbers: Numbers) -> None:
        """The client closes a stream once it has seen the usage, before the upstream has ended."""
        met, admitted = self.admit(user, model)
        mark = uuid.uuid4().hex
        piece = data(delta(), {"choices": [], "usage": usage_of(numbers)})
        script = Script(headers=SSE, chunks=(Chunk(piece), Chunk(data("[DONE]"), hold=mark)))
        with self.sender(user).sent(request(user, model, STREAM), script, mark) as response:
            status = response.status
            if status == 200:
                assert read_bytes(response, len(piece)) == piece
        served = self.stack.upstream.served(mark)
        self.decided(status, 200, reached=served is not None, admitted=admitted)
        if served is not None:
            # Let go sooner, the end might come to the gateway before it learns that nobody reads it.
            assert wait_for(lambda: (s := self.stack.upstream.served(mark)) is not None and s.finished)
            self.stack.upstream.release(mark)
        if admitted:
            self.charge(met, numbers)

    @rule(user=WHO, model=MODELS, numbers=NUMBERS, asked=st.sampled_from(({}, STREAM)))
    def begin(self, user: str | None, model: str, numbers: Numbers, asked: dict[str, Any]) -> None:
        """A request whose answer does not come yet: others are admitted or refused meanwhile."""
        met, admitted = self.admit(user, model)
        name = uuid.uuid4().hex
        script = Script(usage=usage_of(numbers), hold=name)
        flight = Flight(self.sender(user), request(user, model, asked), script)
        flight.start()
        held = Held(flight, name, met, numbers)
        assert wait_for(lambda: flight.decided)
        if flight.reached:
            self.held.append(held)
        else:
            flight.join(WITHIN)
        self.decided(flight.status, 0, reached=flight.reached, admitted=admitted)

    @precondition(lambda self: bool(self.held))
    @rule(which=st.integers(0, 9))
    def end(self, which: int) -> None:
        """One of those answers comes, and is charged to the windows that run now."""
        held = self.held.pop(which % len(self.held))
        self.let_go(held)
        assert held.flight.status == 200
        self.charge(held.met, held.numbers)

    @rule(seconds=PAUSES)
    def wait(self, seconds: float) -> None:
        """Time passes; often a window ends."""
        self.stack.now += seconds

    @invariant()
    def every_counter_is_the_references(self) -> None:
        """Of every limit and everybody who has moved one in a window that runs."""
        under_way = len(self.held)
        settle(self.stack.gateway.envoy, under_way, under_way=under_way)
        found = {(c.limit, tuple(sorted(c.of.items()))): c.used
                 for c in counters(self.stack.plan, self.stack.counted(), self.stack.now)}  # fmt: skip
        due = {key: self.reference.used(limit) for key, limit in self.known.items()}
        due = {key: used for key, used in due.items() if used}
        assert found == due, f"counted: {found}; the reference: {due}"

    def teardown(self) -> None:
        """Nothing is left under way: a charge that lands late would be the next example's."""
        for held in self.held:
            self.let_go(held)
        if self.limits:
            settle(self.stack.gateway.envoy, 0)

    # Both sides

    def sender(self, user: str | None) -> Sender:
        """The client."""
        return Sender(self.stack.url, self.stack.upstream, user or "")

    def admit(self, user: str | None, model: str) -> tuple[Met, bool]:
        """The limits that the request meets, and whether the reference lets it through."""
        met = []
        for place, drawn in enumerate(self.limits, start=1):
            subject = drawn.subject(user or names.ANONYMOUS, model)
            if subject is not None:
                limit = drawn.meant(f"{place} {subject}")
                met.append((drawn, self.known.setdefault((place, subject), limit)))
        admitted = self.reference.admit([limit for _, limit in met])
        # What never admits counts whom it turns away; a shadow of requests counts who is turned away by others.
        turned_away = [
            limit for drawn, limit in met if drawn.never_admits or (not admitted and drawn.shadow_of_requests)
        ]
        self.reference.charge(turned_away, 1)
        return tuple(met), admitted

    def charge(self, met: Met, numbers: Numbers) -> None:
        """What an answer that has ended costs, at the reference."""
        for drawn, limit in met:
            self.reference.charge([limit], drawn.amount(numbers))

    def decided(self, status: int, expected: int, *, reached: bool, admitted: bool) -> None:
        """An admitted request reaches the upstream and gets its answer; a refused one gets a 429 and does not."""
        due = (expected, True) if admitted else (429, False)
        assert (status, reached) == due, f"status and reached: {(status, reached)}; the reference: {due}"

    def let_go(self, held: Held) -> None:
        """The answer comes, and is read to its end."""
        self.stack.upstream.release(held.name)
        held.flight.join(WITHIN)


def request(user: str | None, model: str, asked: Mapping[str, Any], *, forged: bool = False) -> Request:
    """A chat completion. With ``forged`` the client names another model in the header of the filter's own."""
    headers = ((names.MODEL_HEADER, "model-b" if model == ONE_MODEL else ONE_MODEL),) if forged else ()
    body = {"model": model, "messages": list(HELLO), **asked}
    return Request(model=model, user=None if user is None else "", headers=headers, body=body)


def usage_of(numbers: Numbers) -> dict[str, Any]:
    """As an API reports it."""
    prompt, completion, total = numbers
    return usage(total, prompt, completion)


def reporting(numbers: Numbers) -> Script:
    """An answer that reports these."""
    return Script(usage=usage_of(numbers))
