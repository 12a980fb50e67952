"""Cases of other gateways about reservations, with ``mode: Reserve``; ``docs/cases.md`` lists all cases.

Only on the stack with the embedded service, which takes refunds, and whose clock a test can set.
"""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import islice

import pytest

from e2e.client import WITHIN, Answer, assert_refused, usage
from e2e.conftest import Serve
from e2e.reserving import ANSWER, HOLD, PROMPT, comes_to, reserved
from e2e.stacks.local import LocalStack
from llmroute.conformance.upstream import Script
from tests.policies import limit

pytestmark = pytest.mark.usefixtures("refunding")


@pytest.mark.parametrize("stream", [False, True], ids=["KU-09", "KU-10"])
def test_a_limit_of_four_reservations(serve: Serve, stack: LocalStack, stream: bool) -> None:
    """Answers as long as they may be: 200 until nothing fits, then 429; after the window 200."""
    client = serve(reserved(limit(4 * HOLD, unit="Minute")))
    script = Script(usage=usage(HOLD, PROMPT, ANSWER))
    for served in range(1, 5):
        assert client.chat(script=script, body={"stream": stream}).status == 200
        comes_to(client, served * HOLD)
    assert_refused(client.chat(script=script, body={"stream": stream}))
    assert client.stack.used(0, client.user) == 4 * HOLD
    stack.now = (stack.now // 60 + 1) * 60
    assert client.chat(script=script, body={"stream": stream}).status == 200
    comes_to(client, HOLD)


@pytest.mark.parametrize(
    ("clients", "fit", "took"),
    [
        pytest.param(3, 2, HOLD, id="KU-11"),
        pytest.param(50, 20, 5, id="TZ-13"),
        pytest.param(5, 1, HOLD, id="LL-01"),
        pytest.param(5, 2, 40, id="LL-08"),
    ],
)
def test_a_crowd(serve: Serve, clients: int, fit: int, took: int) -> None:
    """At one time, and no answer ends before all have asked: as many as fit are served, the others refused untouched."""
    client = serve(reserved(limit(fit * HOLD + HOLD // 2, unit="Day")))
    name = f"{client.user}-crowd"
    with ThreadPoolExecutor(clients) as pool:
        script = Script(usage=usage(took), hold=name)
        asked = [pool.submit(client.chat, script=script) for _ in range(clients)]
        refused = [each.result() for each in islice(as_completed(asked, WITHIN), clients - fit)]
        comes_to(client, fit * HOLD)
        client.stack.upstream.release(name)
        answers = [each.result() for each in asked]
    for answer in refused:
        assert_refused(answer)
    assert Counter(answer.status for answer in answers) == {200: fit, 429: clients - fit}
    comes_to(client, fit * took)


def test_ll02(serve: Serve) -> None:
    """LL-02: an estimate above the quantity is refused, and the counter is not increased."""
    client = serve(reserved(limit(10, unit="Day")))
    assert_refused(client.chat(1))
    assert client.stack.used(0, client.user) == 0


@pytest.mark.parametrize(
    ("script", "status", "spent"),
    [(Script(usage=usage(50)), 200, 50), (Script(status=500), 500, 0), (Script(status=429), 429, 0)],
    ids=["answer", "failure", "upstream-429"],
)
def test_ll03(serve: Serve, script: Script, status: int, spent: int) -> None:
    """LL-03: a reservation is corrected by what the answer took, or given back when there is none."""
    client = serve(reserved(limit(1000, unit="Day")))
    answer: Answer = client.chat(script=script)
    assert answer.status == status
    comes_to(client, spent)


def test_tz15(serve: Serve) -> None:
    """TZ-15: nobody gets back more than was taken: not from an answer that took nothing, nor twice."""
    client = serve(reserved(limit(1000, unit="Day")))
    assert client.chat(30).status == 200
    comes_to(client, 30)
    for _ in range(3):
        assert client.chat(0).status == 200
        comes_to(client, 30)


def test_px03(serve: Serve) -> None:
    """PX-03: a refund can be seen: a limit that has room for one reservation serves answer after answer, while they are short."""
    client = serve(reserved(limit(HOLD + 20, unit="Day")))
    for served in range(1, 3):
        assert client.chat(10).status == 200
        comes_to(client, 10 * served)
    assert client.chat(11).status == 200
    comes_to(client, 31)
    assert_refused(client.chat(1))
    assert client.stack.used(0, client.user) == 31
