"""``admission.mode: PrepaidPrompt``: what becomes of a prompt that is paid when no whole answer follows."""

from __future__ import annotations

from contextlib import closing

import pytest

from e2e.client import Client, usage, wait_for
from e2e.conftest import Serve
from e2e.overtake import request as message
from e2e.overtake import wires
from e2e.stacks.protocol import Breakable
from e2e.test_prepaid import DELTA, DONE, PROMPT, REPORT, SSE, ask, held, policy
from llmroute.conformance.adapters.outage import killed
from llmroute.conformance.upstream import Chunk, Script


@pytest.mark.parametrize("script", [Script(status=500), Script(status=429), Script(status=400)])
def test_an_error_gives_no_prompt_back(serve: Serve, script: Script) -> None:
    """The service cannot take back what it has counted; nothing comes on top."""
    client = serve(policy())
    assert ask(client, script).status == script.status
    assert client.stack.used(0, client.user) == PROMPT
    assert ask(client, Script(usage=usage(101))).status == 200
    assert client.settled(PROMPT + 101) == PROMPT + 101


def leave(client: Client, user: str, script: Script, mark: bytes) -> None:
    """Ask, read until something has come, and leave."""
    with wires(client.stack.url, 1) as (wire,), closing(wire):
        wire.send(message(user, stream=True, script=script))
        wire.read_until(mark)


def test_clients_that_leave(serve: Serve) -> None:
    """What was seen is charged, less what was booked."""
    client = serve(policy())
    before, after = f"{client.user}-1", f"{client.user}-2"
    leave(client, before, held(client, DONE), DELTA[:20])
    prompt = 1  # of "[]"
    assert client.settled(prompt + 1, 0, before) == prompt + 1
    chunks = (Chunk(DELTA + REPORT.replace(b"[]", b"[{}]")), Chunk(DONE, hold=client.user))
    leave(client, after, Script(chunks=chunks, headers=SSE), b"total_tokens")
    assert client.settled(150, 0, after) == 150


@pytest.mark.parametrize("closed", [True, False], ids=["closed", "open"])
def test_while_the_service_is_away_the_proxy_decides(breakable: Breakable, serve: Serve, closed: bool) -> None:
    """As the user chose: refused, or served and not metered; then the limit holds as before."""
    breakable.fail_closed = closed
    client = serve(policy())
    assert ask(client, Script(usage=usage(120))).status == 200
    assert client.settled(120) == 120
    with killed(breakable.outage()):
        answer = ask(client, Script(usage=usage(120)))
        assert answer.status in ({500, 503} if closed else {200})
        assert (answer.served is None) is closed
    assert wait_for(lambda: "x-ratelimit-limit-tokens" in ask(client, Script(usage=usage(200))).headers)
    assert client.settled(320) >= 320
