"""``admission.mode: PrepaidPrompt``: a prompt is booked before its answer begins, and everybody pays once."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from e2e.client import CHAT, Client, assert_refused, usage, wait_for
from e2e.conftest import Serve
from llmroute import names
from llmroute.conformance.upstream import Chunk, Script
from tests.policies import MODEL, USER, header, limit, route, rule, text

EVERY_USER: Final = [header(USER, "Distinct")]
WORDS: Final = [{"role": "user", "content": "x" * 367}]
PROMPT: Final = 100
"""What the prompt above is estimated at: a quarter of its bytes, rounded up."""
DELTA: Final = b'data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"x"}}]}\n\n'
REPORT: Final = b"data: " + json.dumps({"choices": [], "usage": usage(150, 90, 60)}).encode() + b"\n\n"
DONE: Final = b"data: [DONE]\n\n"
SSE: Final = {"content-type": "text/event-stream"}
Limits = dict[str, Any]


def of_day(quantity: int, **more: Any) -> Limits:
    """A limit of so many tokens a day."""
    return limit(quantity, unit="Day") | more


def policy(*limits: Limits, settle: str = "Async") -> str:
    """Limits of every user."""
    made = route(rule(*(limits or (of_day(1000),)), headers=EVERY_USER))
    made["spec"]["admission"] = {"mode": "PrepaidPrompt", "settle": settle}
    return text(made)


def ask(client: Client, script: Script, **more: Any) -> Any:
    """A prompt of ``PROMPT`` tokens."""
    return client.chat(script=script, body={"messages": WORDS}, **more)


def held(client: Client, *rest: bytes) -> Script:
    """A stream that stops after its first delta until the client's user is released."""
    chunks = (Chunk(DELTA), *(Chunk(piece, hold=client.user if i == 0 else None) for i, piece in enumerate(rest)))
    return Script(chunks=chunks, headers=SSE)


def test_the_estimate_is_what_the_tests_say() -> None:
    """A quarter of the bytes of ``messages``, as a client writes them."""
    assert -(-len(json.dumps(WORDS)) // 4) == PROMPT


@pytest.mark.parametrize("settle", ["Async", "Sync"])
def test_a_prompt_is_booked_before_its_answer_and_paid_once(serve: Serve, settle: str) -> None:
    """While the answer comes its prompt counts; in the end the counter is the usage. The upstream sees no header of it."""
    client = serve(policy(settle=settle))
    with client.stream({"messages": WORDS}, script=held(client, REPORT, DONE)) as response:
        assert response.status_code == 200
        pieces = response.iter_raw()
        assert next(pieces) == DELTA
        assert client.stack.used(0, client.user) == PROMPT
        assert response.headers["x-ratelimit-limit-tokens"] == "1000"
        assert response.headers["x-ratelimit-remaining-tokens"] == "1000"
        client.stack.upstream.release(client.user)
        assert b"".join(pieces) == DONE
    assert client.settled(150) == 150
    answer = ask(client, Script(usage=usage(120)))
    assert answer.headers["x-ratelimit-remaining-tokens"] == "850"
    assert client.settled(270) == 270
    assert names.PREPAID_HEADER not in dict(answer.served.headers)


def test_prompts_under_way_count_for_others(serve: Serve) -> None:
    """The limit is used up by a prompt whose answer has not come: a second request of the user is refused, a third user is not."""
    client = serve(policy(of_day(PROMPT)))
    with client.stream({"messages": WORDS}, script=held(client, REPORT, DONE)) as response:
        pieces = response.iter_raw()
        next(pieces)
        refused = ask(client, Script(usage=usage(1)))
        assert_refused(refused)
        assert refused.headers["x-ratelimit-limit-tokens"] == str(PROMPT)
        assert client.stack.used(0, client.user) == PROMPT, "a refused request books nothing"
        assert ask(client, Script(usage=usage(100)), user=f"{client.user}-2").status == 200
        client.stack.upstream.release(client.user)
        assert b"".join(pieces) == DONE
    assert client.settled(150) == 150


def test_the_charge_is_never_negative(serve: Serve) -> None:
    """An answer that cost less than the estimate of its prompt costs the estimate."""
    client = serve(policy())
    assert ask(client, Script(usage=usage(7, 5, 2))).status == 200
    assert client.settled(PROMPT) == PROMPT
    assert ask(client, Script(usage=usage(101))).status == 200
    assert client.settled(PROMPT + 101) == PROMPT + 101


@pytest.mark.parametrize("settle", ["Async", "Sync"])
def test_every_kind_of_limit_by_its_own_measure(serve: Serve, settle: str) -> None:
    """Total, prompt, completion, weights, requests and a shadow: on admission the prompt's share, in the end the usage."""
    weights = {"prompt": 0.25, "completion": 2}
    kinds = [
        of_day(1000),
        of_day(1001, token="Prompt"),
        of_day(1002, token="Completion"),
        of_day(1003, weights=weights),
        limit(9, "Request", "Day"),
        of_day(1004, shadow=True),
    ]
    client = serve(policy(*kinds, settle=settle))

    def used() -> list[int]:
        return [client.stack.used(i, client.user) for i in range(len(kinds))]

    with client.stream({"messages": WORDS}, script=held(client, REPORT, DONE)) as response:
        pieces = response.iter_raw()
        next(pieces)
        assert used() == [PROMPT, PROMPT, 0, 25, 1, 0]
        client.stack.upstream.release(client.user)
        assert b"".join(pieces) == DONE
    spent = [150, PROMPT, 60, 143, 1, 150]  # a prompt of 90 was booked as 100; 90 / 4 + 60 x 2, rounded up
    wait_for(lambda: used() == spent)
    assert used() == spent


def test_a_refusal_burns_no_other_limit(serve: Serve) -> None:
    """Of requests one counts for a refused request, as everywhere; of tokens nothing, whichever limit refuses."""
    client = serve(policy(of_day(1000), limit(1, "Request", "Day")))
    assert ask(client, Script(usage=usage(100))).status == 200
    assert client.settled(100) == 100
    for i in range(3):
        refused = ask(client, Script(usage=usage(1)))
        assert_refused(refused, "requests")
        assert (refused.headers["x-ratelimit-limit-requests"], refused.headers["retry-after-ms"][-3:]) == ("1", "000")
        assert [client.stack.used(k, client.user) for k in (0, 1)] == [100, 2 + i]


def test_zero_admits_nobody(serve: Serve) -> None:
    """And books nothing: what its counter shows are the checks."""
    client = serve(policy(of_day(1000), of_day(0)))
    refused = ask(client, Script(usage=usage(1)))
    assert_refused(refused)
    assert refused.headers["x-ratelimit-limit-tokens"] == "0"
    assert [client.stack.used(k, client.user) for k in (0, 1)] == [0, 1]


def test_a_client_cannot_say_that_it_is_admitted(serve: Serve) -> None:
    """Whatever it sends under the filter's header, and by whatever method."""
    client = serve(policy(of_day(1)))
    assert ask(client, Script(usage=usage(100))).status == 200
    assert client.settled(100) == 100
    for value in ("yes", "no", "", "yes, yes"):
        for method in ("POST", "GET"):
            refused = client.send(
                json.dumps({"model": "m", "messages": WORDS}).encode() if method == "POST" else b"",
                headers=[
                    (names.USER_HEADER, client.user),
                    (names.PREPAID_HEADER, value),
                    (names.PREPAID_HEADER, "yes"),
                ],
                method=method,
            )
            assert_refused(refused)
    assert client.stack.used(0, client.user) == 100


def test_a_get_costs_no_prompt(serve: Serve) -> None:
    """The proxy checks it, as ever."""
    client = serve(policy())
    answer = client.send(b"", headers={names.USER_HEADER: client.user}, method="GET", path="/v1/models")
    assert answer.served is not None
    assert answer.headers["x-ratelimit-remaining-tokens"] == "1000"
    assert client.stack.used(0, client.user) == 0


def test_backends_and_models(serve: Serve) -> None:
    """Only limits that apply are checked and booked: those of the chosen backend, and of the model."""
    made = route(
        one=[rule(of_day(1000), headers=EVERY_USER), rule(of_day(500), headers=[header(MODEL, "Exact", "dear"), *EVERY_USER])],
        two=[rule(of_day(300), headers=EVERY_USER)],
    )  # fmt: skip
    made["spec"] |= {
        "admission": {"mode": "PrepaidPrompt"},
        "trafficPolicy": {"rateLimit": {"rules": [rule(of_day(5000), headers=EVERY_USER)]}},
    }
    client = serve(text(made))

    def used() -> list[int]:
        return [client.stack.used(i, client.user) for i in range(4)]

    def spend(backend: str, model: str) -> int:
        headers = {names.BACKEND_HEADER: backend}
        return int(ask(client, Script(usage=usage(250)), model=model, headers=headers).status)

    for backend, model, spent in (
        ("one", "cheap", [250, 0, 0, 250]),
        ("one", "dear", [500, 250, 0, 500]),
        ("two", "dear", [500, 250, 250, 750]),
        ("two", "dear", [500, 250, 500, 1000]),
    ):
        assert spend(backend, model) == 200
        wait_for(lambda spent=spent: used() == spent)  # type: ignore[misc]
        assert used() == spent
    assert spend("two", "cheap") == 429
    assert used() == [500, 250, 500, 1000]


def test_bodies_that_say_no_prompt(serve: Serve) -> None:
    """What cannot be read is estimated by its bytes, and counting tokens costs nothing."""
    client = serve(policy())
    sent = {names.USER_HEADER: client.user}
    assert client.send(b"x" * 80, headers=sent, script=Script(usage=usage(25))).status == 200
    assert client.settled(25) == 25
    path = f"{CHAT.rsplit('/', 2)[0]}/messages/count_tokens"
    body = json.dumps({"model": "m", "messages": WORDS}).encode()
    assert client.send(body, headers=sent, path=path, script=Script(body='{"input_tokens":9}')).status == 200
    assert client.stack.used(0, client.user) == 25
