"""``mode: Reserve``: a request holds what it may take, and pays for what it took; nothing passes the limit.

Only on the stack with the embedded service, which takes refunds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from e2e.client import Client, assert_refused, usage, wait_for
from e2e.conftest import Serve
from e2e.raw import Raw
from e2e.reserving import ANSWER, EVERY_USER, HOLD, PROMPT, a_day, comes_to, exchanged, in_flight, reserved
from e2e.stacks.local import LocalStack
from llmroute import names
from llmroute.conformance.upstream import Script
from llmroute.overshoot import in_flight_of_clients, overshoot
from tests.policies import MODEL, USER, header, limit, route, rule, text, with_spec

pytestmark = pytest.mark.usefixtures("refunding")


@pytest.mark.parametrize(("quantity", "fits"), [(2 * HOLD, True), (2 * HOLD - 1, False)])
def test_the_edge(serve: Serve, quantity: int, fits: bool) -> None:
    """What fits to the last token is admitted; with one token less it is refused, and the counter does not move."""
    client = serve(reserved(a_day(quantity)))
    with in_flight(client) as first:
        if fits:
            with in_flight(client) as second:
                assert_refused(client.chat(1))
                assert client.stack.used(0, client.user) == 2 * HOLD
                assert second.land().status == 200
            comes_to(client, HOLD + 1)
        else:
            assert_refused(client.chat(1))
            assert client.stack.used(0, client.user) == HOLD
        assert first.land().status == 200
    comes_to(client, 2 if fits else 1)


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
@pytest.mark.parametrize("total", [1, HOLD - 1, HOLD, HOLD + 1, 5 * HOLD])
def test_the_counter_is_the_usage(serve: Serve, stream: bool, total: int) -> None:
    """Below the hold, at it, beyond it, and beyond the limit: what is beyond is charged, and holds no less."""
    client = serve(reserved(a_day(2 * HOLD)))
    assert client.chat(total, body={"stream": stream}).status == 200
    comes_to(client, total)
    if total > HOLD:
        assert_refused(client.chat(1))
        assert client.stack.used(0, client.user) == total


def test_nothing_is_admitted_when_all_is_used(serve: Serve) -> None:
    """Not even what takes nothing: a hold is one token at least, and that is given back."""
    client = serve(reserved(a_day(HOLD)))
    assert client.send(b"", method="GET", path="/v1/models", headers={USER: client.user}).status == 200
    comes_to(client, 0)
    assert client.chat(HOLD - 1).status == 200
    comes_to(client, HOLD - 1)
    assert client.send(b"", method="GET", path="/v1/models", headers={USER: client.user}).status == 200
    comes_to(client, HOLD - 1)
    tiny = {"max_completion_tokens": 1, "messages": []}
    assert_refused(client.chat(1, body=tiny), "tokens")
    assert client.stack.used(0, client.user) == HOLD - 1


def body(**fields: Any) -> dict[str, Any]:
    """Fields of a chat."""
    return {"body": fields}


@pytest.mark.parametrize(
    ("asked", "held"),
    [
        (body(), HOLD),
        (body(max_completion_tokens=20), PROMPT + 20),
        (body(max_tokens=20), PROMPT + 20),
        (body(max_tokens=20, max_completion_tokens=30), PROMPT + 30),
        (body(max_tokens=2000), HOLD),
        (body(max_tokens=0), HOLD),
        (body(max_tokens=20, n=4), PROMPT + 80),
        (body(n=3), PROMPT + 99),
        (body(n=150), PROMPT + 150),
        (body(messages=["x" * 996]), 250 + ANSWER),
    ],
    ids=str,
)
def test_what_is_held(serve: Serve, asked: dict[str, Any], held: int) -> None:
    """The estimate of the prompt, and the longest answer that the request can get, or all of its answers."""
    client = serve(reserved(a_day(1000)))
    with in_flight(client, 7, held, **asked) as flight:
        assert flight.land().status == 200
    comes_to(client, 7)


@pytest.mark.parametrize("quantity", [1000, 4_000_000_000])
def test_more_than_can_be_held(serve: Serve, quantity: int) -> None:
    """A check takes 1,000,000,000 at most; that is held, and refused where it does not fit."""
    client = serve(reserved(a_day(quantity)))
    endless = {"n": 10**12}
    if quantity == 1000:
        assert_refused(client.chat(1, body=endless))
        assert client.stack.used(0, client.user) == 0
    else:
        with in_flight(client, 7, names.MAX_CHARGE, body=endless) as flight:
            flight.land()
        comes_to(client, 7)


def held_by(client: Client, content: bytes, path: str, **headers: str) -> int:
    """What this request holds while the upstream has it, with usage of 7 tokens, which it costs then."""
    name = f"{client.user}-{path}"
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(
            client.send,
            content,
            path=path,
            headers={USER: client.user} | headers,
            script=Script(body={"usage": usage(7)}, hold=name),
        )
        assert wait_for(lambda: client.stack.used(0, client.user) > 0)
        held = client.stack.used(0, client.user)
        client.stack.upstream.release(name)
        assert answer.result().status == 200
    comes_to(client, 7)
    return held


@pytest.mark.parametrize(
    ("path", "content", "headers", "held"),
    [
        ("/v1/embeddings", b'{"model":"m","input":"12345678901234567890"}', {}, 6),
        ("/v1/messages/count_tokens", b'{"model":"m","messages":["1234567"]}', {}, 3),
        ("/v1/messages", b'{"model":"m","max_tokens":30,"messages":["1234567"]}', {}, 3 + 30),
        (
            "/v1beta/models/g:generateContent",
            b'{"contents":["1234"],"generationConfig":{"candidateCount":2}}',
            {},
            2 + 100,
        ),
        ("/v1/completions", b'{"model":"m","max_tokens":20,"prompt":["1234","5678","9"]}', {}, 5 + 3 * 20),
        ("/v1/completions", b'{"model":"m","prompt":["1234","5678","9"]}', {}, 5 + 3 * (ANSWER // 3)),
        ("/some/thing/else", b'{"model":"m","max_tokens":1,"prompt":"1234"}', {}, 2 + ANSWER),
        ("/v1/chat/completions", b"x" * 400, {}, 100 + ANSWER),
        ("/v1/chat/completions", b"x" * 400, {"content-encoding": "gzip"}, 100 + ANSWER),
        ("/v1/chat/completions", b"x" * (4 * 1024 * 1024 + 1), {}, 1024 * 1024 + 1 + ANSWER),
    ],
    ids=[
        "embeddings",
        "counting",
        "anthropic",
        "gemini",
        "prompts",
        "more-prompts",
        "unknown",
        "no-json",
        "compressed",
        "too-long",
    ],
)
def test_what_other_requests_hold(serve: Serve, path: str, content: bytes, headers: dict[str, str], held: int) -> None:
    """Who makes no answer holds none; of what cannot be read, or says nothing that is known, the longest is held."""
    client = serve(reserved(a_day(2_000_000)))
    assert held_by(client, content, path, **headers) == held


def test_kinds_and_weights(serve: Serve) -> None:
    """Each limit holds what it counts, by its dearest weights, and is charged what it counts."""
    weights = {"prompt": 0.5, "cachedPrompt": 0.1, "cacheWrite": 1.25, "completion": 4, "reasoning": 6}
    day = [a_day(9000), a_day(9000, token="Prompt"), a_day(9000, token="Completion"), a_day(9000, weights=weights)]
    client = serve(reserved(*day, a_day(9000, shadow=True), limit(9, "Request", "Day")))
    with in_flight(client, 25) as flight:
        held = [client.stack.used(i, client.user) for i in range(6)]
        assert held == [HOLD, PROMPT, ANSWER, -(-PROMPT * 5 // 4) + 600, 0, 1]
        assert flight.land().status == 200
    for i, charged in enumerate([25, 12, 13, 6 + 52, 25, 1]):
        comes_to(client, charged, i)


def test_a_refused_request_moves_no_counter(serve: Serve) -> None:
    """Neither of the limit that refuses nor of those beside it, of requests too; and nothing is given back for it."""
    shared = [rule(a_day(HOLD + 10))]
    client = serve(reserved(a_day(5000), limit(7, "Request", "Day"), of_all=shared))
    assert client.chat(11).status == 200
    comes_to(client, 11)
    for _ in range(3):
        assert_refused(client.chat(1))
    used = [client.stack.used(0, client.user), client.stack.used(1, client.user), client.stack.used(2)]
    assert used == [11, 1, 11]
    other = client.chat(1, user=f"{client.user}-2")
    assert_refused(other)
    assert client.stack.used(0, f"{client.user}-2") == 0


@pytest.mark.parametrize("settle", ["Async", "Sync"])
def test_headers(serve: Serve, settle: str) -> None:
    """An admitted answer says the quantity, and what is left of it beside what is held; a refusal that too little is."""
    client = serve(reserved(a_day(2 * HOLD), settle=settle))
    first = client.chat(5)
    assert first.headers["x-ratelimit-limit-tokens"] == str(2 * HOLD)
    assert first.headers["x-ratelimit-remaining-tokens"] == str(HOLD)
    comes_to(client, 5)
    assert client.chat(HOLD - 4).headers["x-ratelimit-remaining-tokens"] == str(HOLD - 5)
    comes_to(client, HOLD + 1)
    refused = client.chat(1)
    assert_refused(refused)
    assert refused.headers["x-ratelimit-limit-tokens"] == str(2 * HOLD)
    message = refused.json()["error"]["message"]
    assert f"on tokens per day: limit {2 * HOLD}, too little left" in message


def test_by_model(serve: Serve) -> None:
    """A limit of another model is neither held nor charged."""
    rules = [rule(a_day(1000), headers=[header(MODEL, "Exact", model), *EVERY_USER]) for model in ("small", "large")]
    client = serve(text(with_spec(route(*rules), admission={"mode": "Reserve", "maxTokens": ANSWER})))
    with in_flight(client, 9, model="small") as flight:
        assert client.stack.used(1, client.user) == 0
        flight.land()
    comes_to(client, 9)
    assert client.stack.used(1, client.user) == 0


def crowd(clients: int, ask: Callable[[int], int]) -> Counter[int]:
    """Statuses of all that so many clients ask for at once, each until it is refused."""

    def one(number: int) -> list[int]:
        statuses: list[int] = []
        while not statuses or statuses[-1] == 200:
            statuses.append(ask(number))
        return statuses

    with ThreadPoolExecutor(clients) as pool:
        return Counter(status for statuses in pool.map(one, range(clients)) for status in statuses)


@pytest.mark.parametrize("settle", ["Async", "Sync"])
@pytest.mark.parametrize(("prompt", "beyond"), [(PROMPT, 0), (PROMPT + 15, 15)], ids=["as-estimated", "longer"])
def test_64_clients_at_once(serve: Serve, refunding: LocalStack, settle: str, prompt: int, beyond: int) -> None:
    """Against 1,000 tokens, with answers of 100 that take 300 ms: never more than ``llmroute check`` says."""
    answer = 100 - PROMPT
    client = serve(reserved(a_day(1000), settle=settle, maxTokens=answer))
    script = Script(usage=usage(prompt + answer, prompt, answer), delay_ms=300)

    def ask(_: int) -> int:
        return exchanged(Raw(client, script))

    statuses = crowd(64, ask)
    assert set(statuses) == {200, 429}
    assert statuses[429] == 64
    used = statuses[200] * (prompt + answer)
    comes_to(client, used)
    ((_, limited),) = refunding.plan.routes[0].limits()
    admission = refunding.plan.routes[0].admission
    bound = overshoot(limited, admission, in_flight_of_clients(64, admission), prompt, PROMPT)
    assert bound == 64 * beyond * (1 if settle == "Sync" else 2)
    assert used <= 1000 + bound
    if not beyond:
        assert used == 1000
