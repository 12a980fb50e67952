"""What the wasm module keeps: all of a stream is given back, and the memory is that of its most streams at a time."""

from __future__ import annotations

import pytest

from llmroute.render.wasm import filter_module
from tests.filters import wasm_host as host
from tests.filters.proxy import SSE_ANSWER
from tests.filters.test_streams import UNASKED, delta

REQUEST, RESPONSE = 0, 2
PIECE = delta("x" * 300, usage=None).encode()


@pytest.fixture
def machine() -> host.Machine:
    """A fresh one."""
    return host.Machine(filter_module())


def begin(machine: host.Machine, plugin: int) -> int:
    """A stream in the middle of an answer, with a partial event kept."""
    stream, exchange = machine.open(plugin)
    exchange.headers[REQUEST] = [(":method", "POST"), (":path", "/v1/chat/completions")]
    assert machine.headers(stream, REQUEST, end=False) == host.STOP
    assert machine.body(stream, REQUEST, UNASKED, end=True)[0] == host.CONTINUE
    exchange.headers[RESPONSE] = list(SSE_ANSWER)
    assert machine.headers(stream, RESPONSE, end=False) == host.CONTINUE
    assert machine.body(stream, RESPONSE, PIECE[:-9], end=False) == (host.CONTINUE, b"")
    return stream


def test_streams_one_after_the_other(machine: host.Machine) -> None:
    """300 take what one takes."""
    plugin = machine.plugin(host.configuration({"version": 1}))
    machine.close(begin(machine, plugin))
    before = machine.memory_bytes
    for _ in range(300):
        machine.close(begin(machine, plugin))
    assert machine.memory_bytes == before


@pytest.mark.slow
def test_streams_at_a_time(machine: host.Machine) -> None:
    """300 take less than 8 KiB each, and as many later ones nothing more; those that leave first or last."""
    plugin = machine.plugin(host.configuration({"version": 1}))
    machine.close(begin(machine, plugin))
    before = machine.memory_bytes
    for order in (1, -1):
        streams = [begin(machine, plugin) for _ in range(300)]
        grown = machine.memory_bytes - before
        assert 0 < grown < 300 * 8192
        for stream in streams[::order]:
            machine.close(stream)
        assert machine.memory_bytes - before == grown


def test_a_long_body_is_kept_by_nobody(machine: host.Machine) -> None:
    """The longest that a route lets the proxy hold, and after it no more memory for the same again."""
    plugin = machine.plugin(host.configuration({"version": 1}))
    body = b'{"model":"m","messages":"' + b"x" * 4_000_000 + b'"}'
    sizes = []
    for _ in range(3):
        stream, exchange = machine.open(plugin)
        exchange.headers[REQUEST] = [(":method", "POST"), (":path", "/v1/chat/completions")]
        assert machine.headers(stream, REQUEST, end=False) == host.STOP
        assert machine.body(stream, REQUEST, body, end=True) == (host.CONTINUE, body)
        assert exchange.properties["prompt_estimate"] == b"1000001"
        machine.close(stream)
        sizes.append(machine.memory_bytes)
    assert sizes[0] == sizes[1] == sizes[2] < 32 * 1024 * 1024


def test_a_plugin_goes_with_its_last_stream(machine: host.Machine) -> None:
    """A new configuration takes the place of one that still serves: 200 of them take what a few take."""
    sizes = []
    for number in range(200):
        configuration = host.configuration({"version": 1, "defaults": {f"x-{number:04}": "a" * 1000}})
        stream = begin(machine, machine.plugin(configuration))
        machine.drop(configuration)
        assert machine.body(stream, RESPONSE, PIECE[-9:], end=True)[0] == host.CONTINUE
        machine.close(stream)
        sizes.append(machine.memory_bytes)
    assert sizes[10] == sizes[-1]
