"""The gate, which holds headers for a filter that may not: what the two do when all is not as ever."""

from __future__ import annotations

import json
from typing import Final

import pytest

from llmroute import names
from llmroute.render.wasm import filter_module
from tests.filters import wasm_host as host

REQUEST: Final = 0
BODY: Final = b'{"model": "mini", "messages": []}'
GATED: Final = json.dumps({"contexts": [{"context": {"version": 1, "gated": True}}]})


class Pair:
    """A request on its way through a filter and a gate."""

    def __init__(self, machine: host.Machine) -> None:
        self.machine = machine
        self.reader, self.exchange = machine.open(machine.plugin(GATED))
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
