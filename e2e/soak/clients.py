"""The clients of a soak: threads that do one deed after the other, and what they saw."""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Self

from e2e.overtake import Wire, request
from e2e.soak.plan import Plan
from e2e.soak.traffic import DEEDS, MODELS, WORDS, Deed
from e2e.stacks import Stack
from llmroute.conformance.case import REFUSED


@dataclass(slots=True)
class Seen:
    """What clients saw. ``marks`` of refused requests must be unknown to the upstream."""

    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    refused: dict[str, str] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


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
