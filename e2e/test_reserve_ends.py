"""``mode: Reserve``: what is counted in the end, however a request ends, and whatever has become of the window by then."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pytest

from e2e.client import usage, wait_for
from e2e.conftest import Serve
from e2e.overtake import DONE
from e2e.raw import Raw
from e2e.reserving import ANSWER, EVERY_USER, HOLD, MESSAGES, PROMPT, a_day, comes_to, exchanged, in_flight, reserved
from e2e.stacks.local import LocalStack
from llmroute.conformance.adapters.outage import killed
from llmroute.conformance.upstream import Break, Chunk, Script
from llmroute.plan import Settle
from tests.policies import USER, header, limit, route, rule, text, with_spec

pytestmark = pytest.mark.usefixtures("refunding")
SSE: Final = {"content-type": "text/event-stream"}
DELTA: Final = b'data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"01"}}]}\n\n'


FAILURES: Final = {
    "500": Script(status=500),
    "429": Script(status=429, body={"error": "mine"}),
    "400": Script(status=400, usage=usage(50)),
    "reset": Script(break_after=Break("request")),
}


@pytest.mark.parametrize("script", FAILURES.values(), ids=FAILURES)
def test_where_no_answer_comes_all_is_given_back(serve: Serve, script: Script) -> None:
    """An error, a 429 of the upstream's own, a connection that breaks."""
    client = serve(reserved(a_day(HOLD)))
    for _ in range(3):
        answer = client.chat(script=script)
        assert answer.status == (503 if script.break_after else script.status)
        assert answer.served, "it was admitted"
        comes_to(client, 0)


def test_a_stream_that_breaks_off(serve: Serve) -> None:
    """What came is charged, the rest is given back."""
    client = serve(reserved(a_day(HOLD)))
    script = Script(chunks=(Chunk(DELTA, times=7),), headers=SSE, break_after=Break("chunks", 1))
    with pytest.raises(Exception, match="closed"):
        client.chat(script=script, body={"stream": True})
    comes_to(client, PROMPT + 7)


@pytest.mark.parametrize("deltas", [0, 1, 30])
def test_a_client_that_leaves(serve: Serve, deltas: int) -> None:
    """Before the answer, or in its middle: it is charged what it saw."""
    client = serve(reserved(a_day(1000)))
    first = (Chunk(DELTA, times=deltas),) if deltas else ()
    script = Script(chunks=(*first, Chunk(DONE, hold=client.user)), headers=SSE, hold=None if deltas else client.user)
    content = json.dumps({"model": "m", "messages": MESSAGES, "stream": True}).encode()
    raw = Raw(client, script)
    with raw:
        raw.header("content-length", str(len(content)))
        raw.connection.endheaders(content)
        comes_to(client, HOLD)
        if deltas:
            response = raw.connection.getresponse()
            seen = b""
            while seen.count(b"content") < deltas:
                seen += response.read1()
        assert wait_for(lambda: client.stack.upstream.served(raw.mark) is not None)
        assert client.stack.used(0, client.user) == HOLD, "until it has left"
    comes_to(client, PROMPT + deltas if deltas else 0)


def test_what_is_not_used_is_never_given_to_a_later_window(serve: Serve, refunding: LocalStack) -> None:
    """The minute that held it is over: the new one begins with nothing. The day goes on, and gets it back."""
    client = serve(reserved(limit(1000, unit="Minute"), a_day(1000)))
    refunding.now = refunding.now // 86400 * 86400 + 59.5
    assert client.chat(30).status == 200
    comes_to(client, 30)
    with in_flight(client, 20) as flight:
        refunding.now += 1
        assert client.stack.used(0, client.user) == 0
        assert client.chat(5).status == 200
        comes_to(client, 5)
        assert flight.land().status == 200
    comes_to(client, 30 + 5 + 20, 1)
    assert client.stack.used(0, client.user) == 5
    assert client.chat(8).status == 200
    comes_to(client, 13)
    comes_to(client, 63, 1)


def test_only_what_is_beyond_the_hold_is_charged_to_a_later_window(serve: Serve, refunding: LocalStack) -> None:
    """The rest was paid in the window of the admission."""
    client = serve(reserved(limit(1000, unit="Minute"), a_day(1000)))
    refunding.now = refunding.now // 86400 * 86400 + 59.5
    with in_flight(client, HOLD + 9) as flight:
        refunding.now += 1
        assert flight.land().status == 200
    comes_to(client, HOLD + 9, 1)
    assert client.stack.used(0, client.user) == 9


@pytest.mark.parametrize("total", [7, HOLD + 6])
def test_what_was_never_held_is_not_given_back(serve: Serve, refunding: LocalStack, total: int) -> None:
    """The service was away and requests pass: when it is back, what was used and held there stays."""
    refunding.fail_closed = False
    try:
        client = serve(reserved(a_day(1000), a_day(1000, shadow=True)))
        assert client.chat(400).status == 200
        comes_to(client, 400)
        away = Raw(client, Script(usage=usage(total), hold=client.user))
        with ThreadPoolExecutor(1) as pool:
            with killed(refunding.outage()):
                flight = pool.submit(exchanged, away)
                assert wait_for(lambda: refunding.upstream.served(away.mark) is not None)
            # Envoy has found the service again.
            assert wait_for(lambda: client.chat(1, user="probe").status == 200 and refunding.used(0, "probe") > 0)
            refunding.upstream.release(client.user)
            assert flight.result() == 200
        comes_to(client, 400 + total, 1)  # the same call charges both
        assert client.stack.used(0, client.user) == 400 + max(0, total - HOLD)
    finally:
        refunding.fail_closed = True


@pytest.mark.parametrize("total", [7, HOLD, HOLD + 50])
@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
def test_with_sync(serve: Serve, total: int, stream: bool) -> None:
    """Who has read the answer has paid what it cost beyond the hold, and everybody pays once; RE2 is the proxy's."""
    rules = [rule(a_day(5000), a_day(5000, shadow=True), headers=EVERY_USER)]
    rules.append(rule(a_day(5000), headers=[header(USER, "RegularExpression", ".*")]))
    admission = {"mode": "Reserve", "maxTokens": ANSWER, "settle": Settle.SYNC.value}
    client = serve(text(with_spec(route(*rules), admission=admission)))
    assert client.chat(total, body={"stream": stream}).status == 200
    assert client.stack.used(0, client.user) >= total
    assert client.stack.used(1, client.user) == total
    comes_to(client, total)
    comes_to(client, total, 2)
    assert client.stack.used(1, client.user) == total
