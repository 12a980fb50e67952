"""The gate, which holds headers for a filter that may not: what the two do when all is not as ever."""

from __future__ import annotations

import json
from typing import Final

import pytest

from llmroute import names
from llmroute.render.wasm import filter_module
from tests.filters import wasm_host as host
from tests.filters.prepaying import PREPAY, Service

REQUEST, RESPONSE = 0, 2
BODY: Final = b'{"model": "mini", "messages": []}'
GATED: Final = json.dumps({"contexts": [{"context": {"version": 1, "gated": True}}]})


class Pair:
    """A request on its way through a filter and a gate."""

    def __init__(self, machine: host.Machine, reader: str = GATED) -> None:
        self.machine = machine
        self.reader, self.exchange = machine.open(machine.plugin(reader))
        self.gate = machine.join(machine.plugin(host.GATE), self.exchange)
        self.exchange.headers[REQUEST] = [
            (":method", "POST"),
            (":path", "/v1/chat/completions"),
            (names.MODEL_HEADER, "mine"),
        ]

    def begin(self) -> None:
        """The headers come as far as the gate."""
        assert self.machine.headers(self.reader, REQUEST, end=False) == host.CONTINUE
        assert self.machine.headers(self.gate, REQUEST, end=False) == host.HOLD_ALL

    def read(self, body: bytes = BODY) -> None:
        """The reader gets the whole body."""
        assert self.machine.body(self.reader, REQUEST, body, end=True)[0] == host.CONTINUE

    def leave(self) -> None:
        """The client is gone, or has its answer."""
        self.machine.close(self.reader)
        self.machine.close(self.gate)

    @property
    def status(self) -> int | None:
        """What the request is answered with, if a filter answers it."""
        return self.exchange.response[0] if self.exchange.response else None

    @property
    def model(self) -> str | None:
        """What the headers say now."""
        return dict(self.exchange.headers[REQUEST]).get(names.MODEL_HEADER)


@pytest.fixture
def machine() -> host.Machine:
    """A fresh one."""
    return host.Machine(filter_module())


def test_nobody_behind_the_gate_sees_a_request_before_it_is_read(machine: host.Machine) -> None:
    """The headers go on once, with the model of the body and not with the client's."""
    pair = Pair(machine)
    pair.begin()
    assert pair.model == "unknown"
    assert machine.body(pair.reader, REQUEST, BODY[:9], end=False)[0] == host.STOP
    assert machine.body(pair.reader, REQUEST, BODY, end=True) == (host.CONTINUE, BODY)
    assert (pair.model, pair.exchange.continued) == ("unknown", set())
    machine.deliver()
    assert (pair.model, pair.exchange.continued) == ("mini", {0})


def test_a_body_that_ends_in_trailers(machine: host.Machine) -> None:
    """HTTP/2 has them."""
    pair = Pair(machine)
    pair.begin()
    assert machine.body(pair.reader, REQUEST, BODY, end=False)[0] == host.STOP
    assert machine.trailers(pair.reader, REQUEST, BODY) == (host.CONTINUE, BODY)
    machine.deliver()
    assert pair.model == "mini"


def test_each_request_has_its_own_edits(machine: host.Machine) -> None:
    """Two that are held at a time."""
    first, second = Pair(machine), Pair(machine)
    first.begin()
    second.begin()
    machine.body(second.reader, REQUEST, BODY.replace(b"mini", b"maxi"), end=True)
    machine.body(first.reader, REQUEST, BODY, end=True)
    machine.deliver()
    assert (first.model, second.model) == ("mini", "maxi")


def test_a_client_that_leaves_before_the_gate_knows(machine: host.Machine) -> None:
    """What comes for it then is nobody's, and the next request passes."""
    gone, next_one = Pair(machine), Pair(machine)
    gone.begin()
    next_one.begin()
    machine.body(gone.reader, REQUEST, BODY, end=True)
    machine.close(gone.reader)
    machine.close(gone.gate)
    machine.body(next_one.reader, REQUEST, BODY, end=True)
    machine.deliver()
    assert (gone.exchange.continued, next_one.exchange.continued) == (set(), {0})


def test_without_a_gate_the_request_fails(machine: host.Machine) -> None:
    """A 503, and its body goes nowhere."""
    pair = Pair(machine)
    assert machine.headers(pair.reader, REQUEST, end=False) == host.CONTINUE
    assert machine.body(pair.reader, REQUEST, BODY, end=True)[0] == host.STOP
    assert pair.exchange.response
    assert pair.exchange.response[0] == 503
    assert "could not be read" in pair.exchange.response[2].decode()


def test_edits_that_the_host_refuses_fail_the_request(machine: host.Machine) -> None:
    """A header that is missing could be a limit that does not apply."""
    pair = Pair(machine)
    pair.begin()
    machine.body(pair.reader, REQUEST, BODY, end=True)
    pair.exchange.let_go.add(pair.gate)
    machine.deliver()
    assert pair.exchange.response
    assert (pair.exchange.response[0], pair.exchange.continued) == (503, set())


def test_each_worker_has_a_queue_of_its_own(machine: host.Machine) -> None:
    """Whichever of them is first: a number that another one takes meanwhile is not taken twice."""
    machine.plugin(host.GATE)
    other = host.Machine(filter_module())
    other.shared = machine.shared
    taken = dict(machine.shared)

    def race() -> None:
        # Between its look at the number and its try.
        value, version = other.shared[b"gates"]
        other.shared[b"gates"] = (str(int(value) + 1).encode(), version + 1)

    other.before_set.append(race)
    other.plugin(host.GATE)
    assert taken[b"gates"][0] == b"1"
    assert other.shared[b"gates"][0] == b"3"
    assert other.queues == {103}
    assert machine.queues == {101}


def test_a_message_that_is_lost_costs_a_tick(machine: host.Machine) -> None:
    """The gate looks after what it holds: the request goes on at the next tick, with its edits."""
    pair = Pair(machine)
    pair.begin()
    assert machine.ticks == {machine.plugin(host.GATE): 100}
    machine.tick(host.GATE)
    assert (pair.model, pair.exchange.went_on) == ("unknown", [])
    pair.read()
    assert machine.lose()
    machine.tick(host.GATE)
    assert (pair.model, pair.exchange.went_on) == ("mini", [pair.gate])


def test_nothing_is_let_go_twice(machine: host.Machine) -> None:
    """A message that comes after the tick that did without it, two ticks, and a message that comes twice."""
    late, twice = Pair(machine), Pair(machine)
    late.begin()
    late.read()
    lost = machine.lose()
    machine.tick(host.GATE)
    machine.tick(host.GATE)
    machine.find(lost)
    assert late.exchange.went_on == [late.gate]
    twice.begin()
    twice.read()
    machine.find(machine.lose() * 2)
    machine.tick(host.GATE)
    assert twice.exchange.went_on == [twice.gate]
    assert (late.status, twice.status) == (None, None)


def test_a_message_for_an_earlier_stream_lets_nobody_go(machine: host.Machine) -> None:
    """A machine that follows one that has stopped has the same numbers: what is not read is not let go."""
    pair = Pair(machine)
    pair.begin()
    (queue,) = machine.queues
    machine.find([(queue, str(pair.gate).encode()), (queue, b"999"), (queue, b"no number")])
    assert (pair.model, pair.exchange.went_on) == ("unknown", [])
    pair.read()
    machine.deliver()
    assert (pair.model, pair.exchange.went_on) == ("mini", [pair.gate])


def test_ticks_end_with_the_requests_that_are_held(machine: host.Machine) -> None:
    """At the tick after the last one; and begin again with the next."""
    gate, reader = machine.plugin(host.GATE), machine.plugin(GATED)
    first, second = Pair(machine), Pair(machine)
    first.begin()
    second.begin()
    first.read()
    machine.deliver()
    machine.tick(host.GATE)
    machine.tick(GATED)
    assert set(machine.ticks) == {gate, reader}
    machine.tick(GATED)
    assert set(machine.ticks) == {gate}
    second.leave()
    machine.tick(host.GATE)
    assert machine.ticks == {}
    third = Pair(machine)
    third.begin()
    assert set(machine.ticks) == {gate}
    third.read()
    machine.deliver()
    assert third.exchange.went_on == [third.gate]


def test_whichever_of_three_leaves(machine: host.Machine) -> None:
    """The first, one in the middle or the last that is held: the others go on."""
    for leaves in range(3):
        pairs = [Pair(machine) for _ in range(3)]
        for pair in pairs:
            pair.begin()
        pairs[leaves].leave()
        rest = [pair for number, pair in enumerate(pairs) if number != leaves]
        for pair in rest:
            pair.read()
        machine.lose()
        machine.tick(host.GATE)
        assert [pair.exchange.went_on for pair in rest] == [[pair.gate] for pair in rest]
        assert pairs[leaves].exchange.went_on == []


def test_a_gate_that_does_not_let_go(machine: host.Machine) -> None:
    """Its machine has stopped, and no message or tick gets to it: a second later the reader answers 503, once."""
    pair = Pair(machine)
    pair.begin()
    pair.read()
    machine.lose()
    for _ in range(9):
        machine.tick(GATED)
    assert not pair.exchange.response
    machine.tick(GATED)
    assert (pair.status, pair.exchange.went_on) == (503, [])
    machine.tick(GATED)
    assert machine.plugin(GATED) not in machine.ticks


def test_a_gate_that_let_go_is_not_waited_for(machine: host.Machine) -> None:
    """However long the answer takes."""
    pair = Pair(machine)
    pair.begin()
    pair.read()
    machine.deliver()
    machine.tick(GATED)
    machine.tick(GATED)
    assert machine.plugin(GATED) not in machine.ticks
    assert pair.status is None


def test_a_body_that_takes_its_time_is_waited_for(machine: host.Machine) -> None:
    """Ten minutes, and then the request goes on."""
    pair = Pair(machine)
    pair.begin()
    for _ in range(6000):
        machine.tick(host.GATE)
    pair.read()
    machine.deliver()
    assert pair.status is None
    assert (pair.model, pair.exchange.went_on) == ("mini", [pair.gate])


def test_a_reader_that_never_says(machine: host.Machine) -> None:
    """It waits for the service, its machine stops, and nobody hears the answer: 503 after the time of two calls and a second."""
    context = {"version": 1, "gated": True, "prepay": PREPAY}
    pair = Pair(machine, json.dumps({"contexts": [{"context": context}]}))
    pair.exchange.service = Service()
    pair.exchange.unheard = True
    pair.begin()
    machine.tick(host.GATE)
    assert machine.body(pair.reader, REQUEST, BODY, end=True)[0] == host.STOP
    for _ in range(30):
        machine.tick(host.GATE)
    assert not pair.exchange.response
    machine.tick(host.GATE)
    assert (pair.status, pair.exchange.went_on) == (503, [])
    machine.tick(host.GATE)
    assert machine.ticks == {}
    assert pair.exchange.response
    pair.exchange.headers[RESPONSE] = [(":status", "503"), *pair.exchange.response[1]]
    body = pair.exchange.response[2]
    assert machine.headers(pair.reader, RESPONSE, end=False) == host.CONTINUE
    assert machine.body(pair.reader, RESPONSE, body, end=True) == (host.CONTINUE, body)
