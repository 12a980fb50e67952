"""Interprets the steps of one case at a gateway that has its policy in force."""

from __future__ import annotations

import dataclasses
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http.client import HTTPResponse
from typing import Final

from llmroute.conformance import checks
from llmroute.conformance.adapters.protocol import Adapter, Away, Gateway
from llmroute.conformance.applies import limits_of, plan_of
from llmroute.conformance.case import (
    Act,
    Ask,
    Case,
    Counted,
    Pass,
    Request,
    Send,
    Service,
    Step,
    Together,
    Watch,
    placed,
    values_of,
)
from llmroute.conformance.checks import Check
from llmroute.conformance.describe import OWN, describe
from llmroute.conformance.exchange import WITHIN, Answer, NoAnswer, Sender, read_bytes, wait_for
from llmroute.conformance.features import Feature
from llmroute.conformance.rows import SSE
from llmroute.conformance.together import Flight, of_flights
from llmroute.conformance.upstream import Break, Chunk, Script
from llmroute.conformance.windows import window_start
from llmroute.plan import Kind

_DONE: Final = {Act.KILL: Act.START, Act.FREEZE: Act.THAW}
"""What makes up for an act."""

Key = tuple[int, tuple[str, ...]]
"""A counter: its limit's place in the policy, and the values that it is of."""


@dataclass(frozen=True, slots=True)
class Played:
    """A step that was made, in words, and what was seen of it."""

    step: str
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether all came as it had to."""
        return all(check.ok for check in self.checks)


@dataclass
class Player:
    """One case, once. ``booked`` is what its counters must read, in the windows that go on.

    ``within``: seconds in which a charge must land.
    """

    case: Case
    gateway: Gateway
    adapter: Adapter
    within: float = WITHIN
    user: str = field(default_factory=lambda: f"user-{uuid.uuid4().hex[:12]}")
    booked: Counter[Key] = field(default_factory=Counter)
    _away: list[Act] = field(default_factory=list)
    _held: list[str] = field(default_factory=list)

    def play(self) -> Iterator[Played]:
        """Step by step, up to the first that fails. The service that counts is given back in any case."""
        if Feature.RESET in self.adapter.features:
            self.gateway.reset()
        try:
            for step in self.case.steps:
                played = Played(describe(step), tuple(self._checks(step)))
                yield played
                if not played.ok:
                    return
        finally:
            for act in self._away:
                getattr(self.gateway.outage, _DONE[act].value)()

    def _checks(self, step: Step) -> Iterator[Check]:
        """What a step shows, and every counter that the case has touched; not those once the answer is another one."""
        before, right = Counter(self.booked), True
        try:
            for check in self._made(step):
                right = right and check.ok
                yield check
            if right and isinstance(step, Send | Watch | Together | Ask):
                at_once = isinstance(step, Send) and step.expect.at_once
                yield from self._counters(moved=before != self.booked, at_once=at_once)
        except NoAnswer as silence:
            yield Check("an answer", "there is one", str(silence))
        finally:
            for name in self._held:  # what was to come is let go when nobody looks any more
                self.adapter.upstream.release(name)
            self._held.clear()

    def _made(self, step: Step) -> Iterator[Check]:
        if isinstance(step, Send):
            yield from checks.of_answer(self._answer(step), step.expect, self.adapter.features)
            self._book(step.request, step.expect.charges)
        elif isinstance(step, Watch):
            yield from self._watched(step)
        elif isinstance(step, Together):
            yield from self._together(step)
        elif isinstance(step, Counted):
            values = tuple(placed(value, self.user) for value in step.values)
            yield self._reads((step.limit, values), step.used, self.within)
        elif isinstance(step, Pass):
            self._pass(step)
        elif isinstance(step, Service):
            self._act(step.act)
        else:
            yield from self._asked(step)

    @property
    def _sender(self) -> Sender:
        return Sender(self.gateway.url, self.adapter.upstream, self.user)

    def _answer(self, step: Send) -> Answer:
        deadline = time.monotonic() + WITHIN
        while True:
            answer = self._sender.exchange(step.request, step.script)
            if not step.again or answer.status in step.expect.statuses or time.monotonic() > deadline:
                return answer

    # Charges

    def _book(self, request: Request, charges: Sequence[int], times: int = 1) -> None:
        """What so many such requests are charged."""
        for place, subject in enumerate(self.case.subjects):
            due = charges[place] * times if place < len(charges) else 0
            self.booked[place, values_of(request, subject, self.user)] += due

    def _counters(self, *, moved: bool, at_once: bool) -> Iterator[Check]:
        if Act.FREEZE in self._away:
            return  # who hangs tells nothing; the step after it has every counter
        if Feature.COUNTERS in self.adapter.features:
            within = 0.0 if at_once else self.within
            try:
                yield from (self._reads(key, due, within) for key, due in self.booked.items() if self._can_tell(key))
            except Away:
                if not self._away:
                    raise  # the step after an outage has every counter, and after it there is none
        elif moved:
            time.sleep(self.adapter.settles)  # such a gateway says how soon a charge lands; nothing else tells

    def _can_tell(self, key: Key) -> bool:
        """Whether the case knows what a counter must read: not every gateway counts a request that it refuses."""
        of_requests = limits_of(plan_of(self.case))[key[0]].kind is Kind.REQUESTS
        return not of_requests or Feature.REFUSED_REQUESTS in self.adapter.features

    def _reads(self, key: Key, due: int, within: float) -> Check:
        """A counter once it is ``due``, or what it is after all: charges land, and holds end, just after the answer."""
        place, values = key
        wait_for(lambda: self.gateway.used(place, *values) == due, within)
        of = f" of {', '.join(values)}".replace(self.user, OWN) if values else ""
        return Check(f"limit {place + 1} has counted{of}", due, self.gateway.used(place, *values))

    # Streams

    def _watched(self, step: Watch) -> Iterator[Check]:
        mark = uuid.uuid4().hex
        chunks = tuple(
            Chunk(data, hold=f"{mark}-{n}" if n else None) for n, data in enumerate(step.pieces)
        )  # the first has nothing to wait for
        script = Script(headers=SSE, chunks=chunks, break_after=Break("chunks", len(chunks)) if step.breaks else None)
        self._held += [f"{mark}-{n}" for n in range(len(chunks))]
        with self._sender.sent(step.request, script, mark) as response:
            yield checks.of_status(response.status, step.expect.statuses)
            yield from self._pieces(step, mark, response)
        if step.leaves is not None:
            # Let go sooner, the rest might come to the gateway before it learns that nobody reads it.
            wait_for(lambda: self._over(mark), self.within)
        served = self.adapter.upstream.served(mark)
        if served is not None:
            yield from checks.of_upstream(served, step.expect.upstream, self.adapter.features)
        self._book(step.request, step.expect.charges)

    def _over(self, mark: str) -> bool:
        """Whether the upstream knows that nothing more is wanted, or never had the request."""
        served = self.adapter.upstream.served(mark)
        return served is None or served.finished

    def _pieces(self, step: Watch, mark: str, response: HTTPResponse) -> Iterator[Check]:
        sees = step.sees or step.pieces
        for n, expected in enumerate(sees[: step.leaves]):
            if n:
                self.adapter.upstream.release(f"{mark}-{n}")
            found = read_bytes(response, len(expected)) if expected else b""
            yield checks.of_bytes(f"piece {n + 1}", expected, found)
        if step.leaves is None:
            end = "breaks off" if step.breaks else "ends"
            try:
                more = read_bytes(response, 1)
            except NoAnswer:
                yield Check("then it", end, "breaks off")
            else:
                yield Check("then it", end, f"goes on: {checks.shown(more)}" if more else "ends")

    # Many at one time

    def _together(self, step: Together) -> Iterator[Check]:
        script = dataclasses.replace(step.script, hold=f"together-{uuid.uuid4().hex}")
        flights = [Flight(self._sender, step.requests[n % len(step.requests)], script) for n in range(step.count)]
        for flight in flights:
            flight.start()
        try:
            decided = wait_for(lambda: all(flight.decided for flight in flights))
        finally:
            self.adapter.upstream.release(script.hold or "")
        for flight in flights:
            flight.join(WITHIN)
        yield Check("all are at the upstream or refused", True, decided)  # noqa: FBT003 what is observed
        yield from of_flights(step, flights)
        for request in dict.fromkeys(map(id, step.requests)):
            mine = [flight for flight in flights if id(flight.request) == request]
            passed = sum(flight.status == 200 for flight in mine)
            self._book(mine[0].request, step.charges, passed)
            self._book(mine[0].request, step.refused, len(mine) - passed)

    # What befalls the gateway

    def _pass(self, step: Pass) -> None:
        clock = self.gateway.clock
        before = clock.now
        base = before if step.window is None else (before // step.window + 1) * step.window
        clock.set(base + step.seconds)
        limits = limits_of(plan_of(self.case))
        for place, values in list(self.booked):
            unit = limits[place].unit
            if window_start(clock.now, unit) != window_start(before, unit):
                del self.booked[place, values]

    def _act(self, act: Act) -> None:
        if act in _DONE:
            self._away.append(act)
        else:
            self._away = [each for each in self._away if _DONE[each] is not act]
        getattr(self.gateway.outage, act.value)()

    # SDKs

    def _asked(self, step: Ask) -> Iterator[Check]:
        from llmroute.conformance.sdks import ask  # noqa: PLC0415 only where the SDKs are installed

        yield from ask(step, self._sender)
        self._book(Request(), step.charges)
