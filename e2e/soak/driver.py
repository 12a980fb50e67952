"""Drives a stack: clients in threads, a part killed now and then, and the comparison in the end."""

from __future__ import annotations

import contextlib
import json
import threading
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final, Self

from e2e.client import wait_for
from e2e.overtake import Wire, request
from e2e.soak.owed import Owed, owed
from e2e.soak.traffic import DEEDS, MODELS, MOST, WORDS, Deed
from e2e.stacks import Stack
from llmroute.conformance.policies import header, limit, route, rule, text
from llmroute.conformance.upstream import MARK_HEADER, ScriptedUpstream
from llmroute.names import MODEL_HEADER, USER_HEADER

REFUSED: Final = 429
Counted = tuple[int, tuple[str, ...]]
"""A counter: a limit of the policy, and the values of its Distinct headers."""
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


@dataclass(slots=True)
class Seen:
    """What clients saw. ``marks`` of refused requests must be unknown to the upstream."""

    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    refused: dict[str, str] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Restart:
    """Of a part: after how many seconds of the soak, and how long until it served again."""

    part: str
    at: float
    took: float


@dataclass(frozen=True, slots=True)
class Difference:
    """A counter that is not what the upstream's ledger says."""

    counter: str
    owed: int
    used: int


@dataclass(frozen=True, slots=True)
class Soaked:
    """What came of it. ``counters`` is how many were compared; ``tokens`` the sum of all that is owed."""

    plan: Plan
    seen: Seen
    restarts: Sequence[Restart]
    counters: int
    tokens: int
    served: int
    past: int
    differences: Sequence[Difference]
    leaked: Sequence[str]
    early: Sequence[str]

    @property
    def ok(self) -> bool:
        """Whether everything is as promised."""
        return not (self.differences or self.leaked or self.early or self.seen.wrong or self.past >= self.bound)

    @property
    def bound(self) -> int:
        """Tokens past a user's limit: each client may have a request in flight and one whose charge has not landed."""
        return 2 * self.plan.clients * MOST

    def faults(self) -> Iterator[str]:
        """What is not as promised, a line each."""
        yield from (f"{d.counter}: the ledger says {d.owed}, the counter {d.used}" for d in self.differences)
        yield from (f"{mark} was refused and reached the upstream" for mark in self.leaked)
        yield from (f"{user} was refused with tokens left" for user in self.early)
        yield from self.seen.wrong
        if self.past >= self.bound:
            yield f"{self.past} tokens past a limit, promised are fewer than {self.bound}"


class Gate:
    """Lets clients pass until it is closed; who closes it waits until nobody is inside."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._open = True
        self._inside = 0

    @contextlib.contextmanager
    def passed(self) -> Iterator[None]:
        """Inside, as soon as it is open."""
        with self._changed:
            self._changed.wait_for(lambda: self._open)
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    @contextlib.contextmanager
    def closed(self) -> Iterator[None]:
        """Nobody is inside in the block."""
        with self._changed:
            self._open = False
            self._changed.wait_for(lambda: not self._inside)
        try:
            yield
        finally:
            with self._changed:
                self._open = True
                self._changed.notify_all()


class Clients:
    """Threads that do one deed after the other, each on connections of its own."""

    def __init__(self, stack: Stack, plan: Plan) -> None:
        self.seen = Seen()
        self.gate = Gate()
        self._stack = stack
        self._plan = plan
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._go_on, args=(n,)) for n in range(plan.clients)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _go_on(self, number: int) -> None:
        random = Random(f"{self._plan.seed}/{number}")  # noqa: S311 a seed repeats the traffic
        wire: Wire | None = None
        shares = [deed.share for deed in DEEDS]
        while not self._stop.is_set():
            (deed,) = random.choices(DEEDS, shares)
            # The first users ask most, as in life: 1, 1/2, 1/3, ...
            user = f"user-{int(self._plan.users ** random.random()):03}"
            with self.gate.passed():
                try:
                    wire = self._do(deed, user, random, wire)
                except Exception as error:  # noqa: BLE001 whatever it is, the soak has to tell of it
                    self._note_wrong(f"{deed.name}: {error!r}")
                    wire = None
        if wire is not None:
            wire.close()

    def _do(self, deed: Deed, user: str, random: Random, wire: Wire | None) -> Wire | None:
        """One deed; gives the connection, if it can be used again."""
        mark, model = uuid.uuid4().hex, random.choice(MODELS)
        message = request(
            user, stream=deed.stream, script=deed.script(random), mark=mark, words=WORDS, model=model, **deed.options
        )
        wire = self._sent(message, wire)
        if deed.leaves_at or deed.cut:
            status = self._left(deed, wire)
            wire.close()
            wire = None
        else:
            status = wire.read_to_end()
            wire.drain()
        self._note(deed, user, mark, status)
        return wire

    def _sent(self, message: bytes, wire: Wire | None) -> Wire:
        """The connection on which it went out: the gateway may have closed the one from before a restart."""
        if wire is not None and wire.closed:
            wire.close()
            wire = None
        wire = wire or Wire(self._stack.url)
        wire.send(message)
        return wire

    def _left(self, deed: Deed, wire: Wire) -> int:
        """The status of an answer that the client or the upstream does not see to its end."""
        wire.read_until(b"\r\n\r\n")
        status = int(wire.got.split(b" ", 2)[1])
        if status == REFUSED:
            return wire.read_to_end()
        if deed.leaves_at:
            wire.read_until(deed.leaves_at)
        else:
            with contextlib.suppress(ConnectionError):  # the gateway passes the break on
                wire.read_until(b"what no upstream says")
        return status

    def _note(self, deed: Deed, user: str, mark: str, status: int) -> None:
        with self._lock:
            self.seen.statuses[deed.name, status] += 1
            if status == REFUSED:
                self.seen.refused[mark] = user
            elif status != deed.status:
                self.seen.wrong.append(f"{deed.name}: status {status}")

    def _note_wrong(self, what: str) -> None:
        with self._lock:
            self.seen.wrong.append(what)


class Account:
    """What every counter has to be, by the upstream's ledger; each record is read once, when nothing more comes of it."""

    def __init__(self, upstream: ScriptedUpstream) -> None:
        self.due: dict[Counted, int] = defaultdict(int)
        self.marks: set[str | None] = set()
        self._upstream = upstream
        self._begun = self._read = len(upstream.requests())

    def read(self) -> None:
        """Read on; nothing is in flight."""
        for served in self._upstream.wait_for(lambda requests: all(each.finished for each in requests))[self._read :]:
            user, model = served.header(USER_HEADER) or "", json.loads(served.body)["model"]
            for counted, tokens in _counters(user, model, owed(served)):
                self.due[counted] += tokens
            self.marks.add(served.header(MARK_HEADER))
            self._read += 1

    @property
    def served(self) -> int:
        """How many requests it has read of."""
        return self._read - self._begun


def _counters(user: str, model: str, due: Owed) -> Iterator[tuple[Counted, int]]:
    """Which counters of the policy an answer moves, and by how much."""
    yield (0, ()), due.total
    yield (1, (user,)), due.total
    yield (2, (model,)), due.prompt
    yield (3, (model,)), due.completion
    yield (4, (user, model)), due.total


def soak(stack: Stack, plan: Plan, kills: Mapping[str, Callable[[], None]], say: Callable[[str], None]) -> Soaked:
    """Drive the stack. ``kills`` are its parts: each is called while nothing is in flight, and gives it back.

    A part that is killed takes along what is in flight (docs/operations.md bounds it), so the ledger could not
    tell what has to be counted. Everything before it was counted already, or the part has lost it.
    """
    upstream = stack.upstream
    if not isinstance(upstream, ScriptedUpstream):
        raise TypeError("the ledger is read in this process")
    stack.apply(plan.policy)
    account, restarts = Account(upstream), list[Restart]()
    began = time.monotonic()
    with Clients(stack, plan) as clients:
        for number in range(plan.restarts if kills else 0):
            _pass(began + plan.seconds * (number + 1) / (plan.restarts + 1))
            part = list(kills)[number % len(kills)]
            with clients.gate.closed():
                _settle(stack, account)
                at = time.monotonic()
                kills[part]()
                restarts.append(Restart(part, at - began, time.monotonic() - at))
            say(f"{restarts[-1].at:5.0f} s: {part} was killed and is back after {restarts[-1].took:.1f} s")
        _pass(began + plan.seconds)
    _settle(stack, account)
    return _compared(stack, plan, clients.seen, restarts, account)


def _pass(moment: float) -> None:
    """Let the clients go on until then."""
    time.sleep(max(0.0, moment - time.monotonic()))


def _settle(stack: Stack, account: Account) -> None:
    """Wait until all that is owed has landed; what does not is found by the comparison."""
    account.read()
    wait_for(lambda: stack.used(0) >= account.due[0, ()])


def _compared(stack: Stack, plan: Plan, seen: Seen, restarts: Sequence[Restart], account: Account) -> Soaked:
    used = {(number, values): stack.used(number, *values) for number, values in account.due}
    differences = [
        Difference(f"limit {number} of {', '.join(values) or 'all'}", due, used[number, values])
        for (number, values), due in account.due.items()
        if used[number, values] != due
    ]
    of_user = {values[0]: tokens for (number, values), tokens in used.items() if number == 1}
    return Soaked(
        plan,
        seen,
        restarts,
        counters=len(used),
        tokens=account.due[0, ()],
        served=account.served,
        past=max(0, *(tokens - plan.quantity for tokens in of_user.values())),
        differences=differences,
        leaked=[mark for mark in seen.refused if mark in account.marks],
        early=sorted({user for user in seen.refused.values() if of_user.get(user, 0) < plan.quantity}),
    )
