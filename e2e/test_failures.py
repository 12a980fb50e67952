"""The rate limit service is away: refused or unmetered, as the user chose, in time and in the API's own words."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import anthropic
import openai
import pytest
from google.genai import errors

from e2e.client import CHAT, Answer, Client, assert_refused, wait_for
from e2e.conftest import Serve
from e2e.sdks import CALLS, Call, Caller, Sleeps
from e2e.stacks import Stack
from e2e.stacks.protocol import Breakable
from e2e.stacks.standalone import StandaloneStack
from llmroute import names
from llmroute.conformance.adapters.outage import frozen, killed
from llmroute.conformance.upstream import Script
from tests.policies import header, limit, route, rule, text

TOKENS: Final = 37
TIMEOUT: Final = 1.0
"""Seconds that the proxies wait for the service (emitted for Envoy, configured on Envoy Gateway)."""
EARLY: Final = TIMEOUT - 0.05
"""An Envoy timer counts from when its loop last looked at the clock, some milliseconds before the call."""
BOUND: Final = TIMEOUT + 0.5
USERS: Final = [header(names.USER_HEADER, "Distinct")]
POLICY: Final = text(route(rule(limit(1_000_000, unit="Day"), headers=USERS)))
SMALL: Final = text(route(rule(limit(5 * TOKENS, unit="Day"), headers=USERS)))
AWAY: Final = "The rate limit cannot be checked right now. Please try again in 1s."
OPENAI: Final = {"error": {"message": AWAY, "type": "server_error", "param": None, "code": "service_unavailable"}}
ANTHROPIC: Final = {"type": "error", "error": {"type": "api_error", "message": AWAY}}
GEMINI: Final = {"error": {"code": 0, "message": AWAY, "status": "UNAVAILABLE"}}
APIS: Final[list[tuple[str, dict[str, Any], dict[str, Any]]]] = [
    (CHAT, {"usage": {"total_tokens": TOKENS}}, OPENAI),
    ("/v1/messages", {"usage": {"input_tokens": 30, "output_tokens": 7}}, ANTHROPIC),
    ("/v1beta/models/m:generateContent", {"usageMetadata": {"totalTokenCount": TOKENS}}, GEMINI),
]
"""A path of each API, an answer of 37 tokens there, and what is said there when the service is away."""


def ask(client: Client, api: int = 0) -> Answer:
    """A request to one of the APIs."""
    path, body, _ = APIS[api]
    headers = {names.USER_HEADER: client.user}
    return client.send(b'{"model":"m","messages":[]}', path=path, script=Script(body=body), headers=headers)


def assert_away(answer: Answer, stack: Breakable, api: int = 0) -> None:
    """Refused because nobody can count: in the API's shape, with a time to come back, and the upstream never saw it."""
    status = 500 if isinstance(stack, StandaloneStack) else 503
    assert answer.status == status
    assert answer.served is None, "a request that nobody counted reached the upstream"
    expected = APIS[api][2]
    if expected is GEMINI:
        expected = {"error": {**GEMINI["error"], "code": status}}
    assert answer.json() == expected
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["retry-after"] == "1"
    assert not [name for name in answer.headers if name.startswith("x-ratelimit")]


@dataclass
class Traffic:
    """Clients that go on asking, one per API, until the block ends. ``seen`` has each one's answers."""

    stack: Stack
    clients: list[Client] = field(default_factory=list)
    seen: list[list[Answer]] = field(default_factory=lambda: [[] for _ in APIS])
    seconds: list[float] = field(default_factory=list)

    @contextlib.contextmanager
    def flowing(self) -> Iterator[None]:
        """While the block lasts."""
        self.clients = [Client(self.stack) for _ in APIS]
        stop = threading.Event()
        threads = [threading.Thread(target=self._drive, args=(api, stop)) for api in range(len(APIS))]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join()
            for client in self.clients:
                client.close()

    def _drive(self, api: int, stop: threading.Event) -> None:
        while not stop.is_set():
            begun = time.monotonic()
            answer = ask(self.clients[api], api)
            self.seconds.append(time.monotonic() - begun)
            self.seen[api].append(answer)

    def more(self, wanted: Callable[[Answer], bool], each: int = 5) -> bool:
        """Whether every client gets so many more such answers."""
        before = [sum(map(wanted, seen)) for seen in self.seen]
        return wait_for(lambda: all(sum(map(wanted, s)) >= b + each for s, b in zip(self.seen, before, strict=True)))


def passed(answer: Answer) -> bool:
    """An answer of the upstream's."""
    return answer.status == 200


def test_closed_nothing_passes_uncounted(breakable: Breakable, serve: Serve) -> None:
    """Three APIs under traffic, the service killed and back: every 200 is charged, the rest are errors of ours, in time.

    At most the charge of one answer per client is lost, that which was under way when the service died.
    """
    stack = serve(POLICY).stack
    traffic = Traffic(stack)
    with traffic.flowing():
        assert traffic.more(passed)
        with killed(breakable.outage()):
            assert traffic.more(lambda answer: not passed(answer)), "refusals while the service is away"
        assert traffic.more(passed), "traffic flows again"
    for api, answers in enumerate(traffic.seen):
        for answer in answers:
            if not passed(answer):
                assert_away(answer, breakable, api)
        most = sum(map(passed, answers)) * TOKENS
        assert traffic.clients[api].settled(most - TOKENS) in {most - TOKENS, most}
    assert max(traffic.seconds) < 2 * BOUND, "nobody waits twice"


def test_open_everything_passes_unmetered(breakable: Breakable, serve: Serve) -> None:
    """Three APIs under traffic, the service killed and back: no request fails; meanwhile nothing is told or counted.

    Once it is back the limit holds as before.
    """
    breakable.fail_closed = False
    client = serve(SMALL)
    assert ask(client).headers["x-ratelimit-limit-tokens"] == str(5 * TOKENS)
    assert client.settled(TOKENS) == TOKENS
    with killed(breakable.outage()):
        meanwhile = [ask(client, api) for api in range(len(APIS)) for _ in range(4)]
        assert client.stack.used(0, client.user) == TOKENS
    for answer in meanwhile:
        assert answer.status == 200
        assert answer.served is not None
        assert not [name for name in answer.headers if name.startswith("x-ratelimit")]
    answers: list[Answer] = []

    def refused() -> bool:
        answers.append(ask(client))
        return answers[-1].status == 429

    assert wait_for(refused), "the limit holds again"
    assert_refused(answers[-1])
    assert {answer.status for answer in answers[:-1]} == {200}
    assert client.stack.used(0, client.user) >= 5 * TOKENS


def test_open_under_traffic(breakable: Breakable, serve: Serve) -> None:
    """No client sees that the service dies and comes back."""
    breakable.fail_closed = False
    traffic = Traffic(serve(POLICY).stack)

    def told(answer: Answer) -> bool:
        return "x-ratelimit-limit-tokens" in answer.headers

    with traffic.flowing():
        assert traffic.more(told)
        with killed(breakable.outage()):
            assert traffic.more(lambda answer: not told(answer))
        assert traffic.more(told), "answers are metered again"
    for answers in traffic.seen:
        assert all(passed(answer) and answer.served for answer in answers)
    assert max(traffic.seconds) < 2 * BOUND, "nobody waits twice"


@pytest.mark.parametrize("api", range(len(APIS)), ids=["openai", "anthropic", "gemini"])
def test_closed_and_the_service_hangs(breakable: Breakable, serve: Serve, api: int) -> None:
    """It takes the call and never answers: after a second the request is refused. Nothing is charged."""
    client = serve(POLICY)
    assert ask(client, api).status == 200
    assert client.settled(TOKENS) == TOKENS
    with frozen(breakable.outage()):
        begun = time.monotonic()
        answer = ask(client, api)
        seconds = time.monotonic() - begun
    assert_away(answer, breakable, api)
    assert EARLY <= seconds < BOUND
    assert wait_for(lambda: ask(client, api).status == 200), "the service answers again"
    assert client.settled(2 * TOKENS) == 2 * TOKENS


def test_open_and_the_service_hangs(breakable: Breakable, serve: Serve) -> None:
    """The request passes, a second late."""
    breakable.fail_closed = False
    client = serve(POLICY)
    with frozen(breakable.outage()):
        begun = time.monotonic()
        answer = ask(client)
        seconds = time.monotonic() - begun
    assert answer.status == 200
    assert EARLY <= seconds < BOUND


BROKEN: Final[dict[type[Exception], type[Exception]]] = {
    openai.RateLimitError: openai.InternalServerError,
    anthropic.RateLimitError: anthropic.InternalServerError,
    errors.ClientError: errors.ServerError,
}


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
def test_an_sdk_comes_back_after_a_second(
    breakable: Breakable, serve: Serve, monkeypatch: pytest.MonkeyPatch, call: Call
) -> None:
    """Its exception for a server that cannot answer, with our words; each of its retries waits the second."""
    sleeps = Sleeps()
    sleeps.take_over(monkeypatch)
    with Caller(serve(POLICY).stack) as caller, killed(breakable.outage()):
        with pytest.raises(BROKEN[call.refused], match=AWAY):
            call.ask(caller)
        assert caller.served == [None] * (1 + call.retries)
    assert sleeps.seconds == [1.0] * call.retries
