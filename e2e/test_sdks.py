"""The SDKs of PyPI against the gateway: answers, charges, and what a refusal does to them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import openai
import pytest
from google.genai import errors, types

from e2e.client import wait_for
from e2e.conftest import Serve
from e2e.sdks import CALLS, Call, Caller, Sleeps
from e2e.stacks.local import LocalStack
from llmroute import names
from llmroute.conformance.cases.client_contract import THEIRS
from llmroute.conformance.upstream import Script
from tests.policies import header, limit, route, rule, text

USERS = [header(names.USER_HEADER, "Distinct")]
MINUTE = text(route(rule(limit(5, unit="Minute"), headers=USERS)))
DAY = text(route(rule(limit(5, unit="Day"), headers=USERS)))
"""Any answer uses it up."""

Limited = openai.RateLimitError | anthropic.RateLimitError | errors.ClientError


@pytest.fixture
def sleeps(monkeypatch: pytest.MonkeyPatch) -> Sleeps:
    """What the SDKs would have slept."""
    clock = Sleeps()
    clock.take_over(monkeypatch)
    return clock


Call_ = Callable[[str], Caller]


@pytest.fixture
def caller(serve: Serve) -> Iterator[Call_]:
    """``caller(policy)``: a user of the gateway, with the policy in force."""
    made: list[Caller] = []

    def make(policy: str) -> Caller:
        made.append(Caller(serve(policy).stack))
        return made[-1].__enter__()

    yield make
    for each in made:
        each.__exit__(None, None, None)


def settled(caller: Caller, expected: int) -> int:
    """The user's counter, once it is what is expected."""
    wait_for(lambda: caller.stack.used(0, caller.user) >= expected)
    return caller.stack.used(0, caller.user)


def use_up(caller: Caller, call: Call) -> None:
    """One answer, more than the limit."""
    caller.command(call.script)
    assert call.ask(caller) == call.text
    assert settled(caller, call.total) == call.total
    caller.answers.clear()


def refused(caller: Caller, call: Call) -> Any:
    """What the SDK raises, once it is the exception for rate limits and says what the gateway says."""
    with pytest.raises(call.refused) as raised:
        call.ask(caller)
    return raised.value


def say(error: Any) -> str:
    """The message inside, as each SDK finds it in the body."""
    if isinstance(error, errors.APIError):
        return str(error.message)
    body: Any = error.body
    return str(body["error"]["message"] if isinstance(error, anthropic.APIError) else body["message"])


def message(limited_per: str, wait: str) -> str:
    """The gateway's words, after the model."""
    return f" on tokens per {limited_per}: limit 5, used up. Please try again in {wait}s."


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
def test_a_call_is_answered_and_charged(caller: Call_, sleeps: Sleeps, call: Call) -> None:
    """The SDK sees the upstream's answer, and the counter says what it reported, to the token."""
    user = caller(text(route(rule(limit(1_000_000, unit="Day"), headers=USERS))))
    user.command(call.script)
    assert [call.ask(user) for _ in range(2)] == [call.text] * 2
    assert settled(user, 2 * call.total) == 2 * call.total
    assert [answer.status_code for answer in user.answers] == [200, 200]
    assert sleeps.seconds == []


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
def test_a_long_wait_stops_the_sdk_at_once(caller: Call_, sleeps: Sleeps, call: Call) -> None:
    """One attempt, no sleep, the SDK's own exception; streams too. The upstream never sees it, nothing is charged."""
    user = caller(DAY)
    use_up(user, call)
    error = refused(user, call)
    (answer,) = user.answers
    assert user.served[1:] == [None]
    assert answer.headers["content-type"] == "application/json"
    wait = answer.headers["retry-after"]
    if int(wait) > 60:  # but in the last minute of a day
        assert answer.headers["x-should-retry"] == "false"
        assert sleeps.seconds == []
    assert say(error).endswith(message("day", wait))
    assert settled(user, call.total) == call.total


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
def test_a_short_wait_is_honoured(caller: Call_, sleeps: Sleeps, call: Call) -> None:
    """Each retry sleeps what the answer before it said. Google's SDK makes none unless it is told to."""
    user = caller(MINUTE)
    use_up(user, call)
    error = refused(user, call)
    waits = [answer.headers["retry-after"] for answer in user.answers]
    assert len(waits) == 1 + call.retries
    assert all(0 < int(wait) <= 60 for wait in waits)
    assert sleeps.seconds == [float(wait) for wait in waits[:-1]]
    assert user.served[1:] == [None] * len(waits)
    assert say(error).endswith(message("minute", waits[-1]))
    assert settled(user, call.total) == call.total


@pytest.mark.parametrize("call", [call for call in CALLS if call.retries], ids=lambda call: call.name)
def test_who_waits_as_told_is_served(caller: Call_, sleeps: Sleeps, call: Call) -> None:
    """12 seconds before the window ends the SDK sleeps 12 seconds, and its next attempt is answered."""
    user = caller(MINUTE)
    stack = user.stack
    if not isinstance(stack, LocalStack):
        pytest.skip("missing capability: a clock that a test can turn")
    stack.now = 60 * math.ceil(stack.now / 60) + 48.0
    use_up(user, call)

    def pass_time(seconds: float) -> None:
        stack.now += seconds

    sleeps.then = pass_time
    assert call.ask(user) == call.text
    assert sleeps.seconds == [12.0]
    assert [answer.status_code for answer in user.answers] == [429, 200]
    assert settled(user, call.total) == call.total


def test_googles_sdk_cannot_be_told(caller: Call_, sleeps: Sleeps) -> None:
    """With retries turned on it makes them all, at its own pace: it reads neither how long nor whether to wait."""
    user = caller(DAY)
    call = next(c for c in CALLS if c.name == "gemini")
    use_up(user, call)
    client = user.gemini(types.HttpRetryOptions(attempts=3, initial_delay=1.0, jitter=0.0))
    with pytest.raises(errors.ClientError) as raised:
        client.models.generate_content(model="gemini-2.5-flash", contents="hello")
    assert raised.value.code == 429
    assert raised.value.status == "RESOURCE_EXHAUSTED"
    assert sleeps.seconds == [1.0, 2.0]
    assert user.served[1:] == [None] * 3
    assert settled(user, call.total) == call.total


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
def test_the_upstreams_429_is_the_upstreams(caller: Call_, sleeps: Sleeps, call: Call) -> None:
    """It comes as it was sent, the SDK waits as the upstream says, each attempt gets there, and none is charged."""
    user = caller(DAY)
    theirs = THEIRS[call.name.split("-")[0]]
    user.command(Script(status=429, body=theirs, headers={"retry-after": "3"}))
    error = refused(user, call)
    assert say(error) == "theirs"
    assert len(user.answers) == 1 + call.retries
    assert sleeps.seconds == [3.0] * call.retries
    assert all(served and served.status == 429 for served in user.served)
    assert user.answers[-1].json() == theirs
    for answer in user.answers:
        assert answer.headers["retry-after"] == "3"
        assert not {"x-should-retry", "retry-after-ms", "x-ratelimit-limit-tokens"} & set(answer.headers)
    assert settled(user, 0) == 0
