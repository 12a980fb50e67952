"""The end-to-end cases of the original LLMRoute (JWTClaim excepted, which this version refuses)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from e2e.client import Client, assert_refused, usage
from llmroute.conformance.upstream import Script

Example = Callable[[str], Client]


def test_the_original_document(example: Example) -> None:
    """37 tokens against 10: the first request of a user passes, the second is refused; others are untouched."""
    client = example("ratelimit-demo")
    model = "hf-opt-125m-chat"
    first = client.chat(model=model, headers={"x-ai-gateway-llm-backend": "huggingface-backend-ratelimit"})
    assert (first.status, first.json()["usage"]["total_tokens"]) == (200, 37)
    assert client.settled(37) == 37
    assert_refused(client.chat(model=model))
    assert client.chat(model=model, user=f"{client.user}-other").status == 200
    assert client.settled(37, 0, f"{client.user}-other") == 37
    assert [client.chat(model="another").status for _ in range(3)] == [200, 200, 200]
    assert client.settled(37) == 37


def test_quickstart(example: Example) -> None:
    """Over the quantity: refused. Another model, with 1000 tokens an answer, never."""
    client = example("quickstart")
    assert client.chat(10).status == 200
    assert client.settled(10) == 10
    assert_refused(client.chat(10))
    assert [client.chat(1000, model="other").status for _ in range(3)] == [200, 200, 200]
    assert client.settled(10) == 10


def test_block_unknown(example: Example) -> None:
    """A model that cannot be read is refused at once; the others are as before."""
    client = example("block-unknown")
    assert_refused(client.send(b"no JSON", headers={"x-user-id": client.user}))
    assert_refused(client.chat(model=""))
    assert client.chat(9).status == 200
    assert client.settled(9) == 9
    assert client.chat(9).status == 200, "9 of 10 are used"
    assert client.settled(18) == 18
    assert_refused(client.chat(9))
    assert client.settled(18) == 18


def test_model_name_distinct(example: Example) -> None:
    """Three models, each with a counter of its own."""
    client = example("model-name-distinct")
    for model in ("a", "b", "c"):
        assert client.chat(10, model=model).status == 200
        assert client.settled(10, 0, model, client.user) == 10
        assert_refused(client.chat(10, model=model))
        assert client.settled(10, 0, model, client.user) == 10


def test_header_match_exact(example: Example) -> None:
    """user1 is limited, user2 never."""
    client = example("header-match-exact")
    assert client.chat(10, user="user1").status == 200
    assert client.settled(10, 0) == 10
    assert_refused(client.chat(10, user="user1"))
    assert [client.chat(10, user="user2").status for _ in range(3)] == [200, 200, 200]
    assert client.stack.used(0) == 10


def test_multiple_backends(example: Example) -> None:
    """Each backend has its own rules and counters."""
    client = example("multiple-backends")
    openai = {"x-ai-gateway-llm-backend": "openai"}
    selfhosted = {"x-ai-gateway-llm-backend": "selfhosted"}
    assert client.chat(100, headers=openai).status == 200
    assert client.settled(100, 0) == 100
    assert_refused(client.chat(100, headers=openai))
    assert client.chat(999, headers=selfhosted).status == 200
    assert client.settled(999, 1) == 999
    assert client.chat(1, headers=selfhosted).status == 200
    assert client.settled(1000, 1) == 1000
    assert_refused(client.chat(1, headers=selfhosted))
    assert (client.stack.used(0, client.user), client.stack.used(1, client.user)) == (100, 1000)
    nowhere = client.chat(1)
    assert (nowhere.status, nowhere.served) == (404, None)


def test_multiple_limits_tokens(example: Example) -> None:
    """The token limit refuses alone, with requests to spare."""
    client = example("multiple-limits")
    assert client.chat(500).status == 200
    assert client.settled(500, 1) == 500
    assert_refused(client.chat(500))
    assert client.settled(500, 1) == 500


def test_multiple_limits_requests(example: Example) -> None:
    """The request limit refuses alone, with tokens to spare; a refused request is no charge of tokens."""
    client = example("multiple-limits")
    for n in range(1, 11):
        assert client.chat(script=Script(usage=usage(1))).status == 200
        assert client.settled(n, 1) == n
    assert_refused(client.chat(1), kind="requests")
    assert client.stack.used(1, client.user) == 10


@pytest.mark.usefixtures("matching")
def test_regular_expression(example: Example) -> None:
    """A family of models shares a counter; the expression has to match the whole name."""
    client = example("regular-expression")
    assert client.chat(400, model="gpt-4o").status == 200
    assert client.settled(400) == 400
    assert client.chat(600, model="gpt-4.1").status == 200
    assert client.settled(1000) == 1000
    assert_refused(client.chat(1, model="gpt-4"))
    assert client.chat(1, model="my-gpt-4").status == 200
    assert client.stack.used(0, client.user) == 1000
