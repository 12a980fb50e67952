"""The filter as wasm in Envoy: a sample of what ``make e2e STACK=wasm`` runs, and what is particular to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import httpx
import pytest

from e2e.client import CHAT, Client, assert_refused
from llmroute import names
from llmroute.conformance.adapters.local import LocalStack
from llmroute.targets import WASM
from tests.policies import header, limit, route, rule, text

USERS: Final = [header(names.USER_HEADER, "Distinct")]
POLICY: Final = text(route(rule(limit(30, unit="Day"), headers=USERS)))
PERMISSION: Final = "allow_on_headers_stop_iteration"


@pytest.fixture(scope="module")
def wasm() -> Iterator[LocalStack]:
    """A gateway whose filter is the module."""
    with LocalStack(engine=WASM) as stack:
        yield stack


@pytest.fixture
def client(wasm: LocalStack) -> Iterator[Client]:
    """A fresh user of it."""
    wasm.apply(POLICY)
    made = Client(wasm)
    yield made
    made.close()


def test_the_charge_and_the_refusal(client: Client) -> None:
    """To the token, and the refusal is in the API's shape; nothing of it reaches the upstream."""
    assert client.chat(30).status == 200
    assert client.settled(30) == 30
    refused = client.chat(5)
    assert_refused(refused)
    assert refused.headers["x-ratelimit-limit-tokens"] == "30"
    assert client.settled(30) == 30


def test_each_route_has_its_own_context() -> None:
    """Two LLMRoutes behind one listener: what one says of its requests does not hold for the other's."""
    one = route(one=[rule(limit(9, unit="Day"), headers=USERS)])
    two = route(name="other", two=[rule(limit(20, "Request", "Day"))])
    two["spec"]["usage"] = {"includeUsage": "Keep"}
    with LocalStack(engine=WASM) as stack:
        stack.apply(text(one, two))
        for backend, forced in (("one", True), ("two", False)):
            body = {"model": "m", "messages": [], "stream": True}
            answer = httpx.post(f"{stack.url}{CHAT}", json=body, headers={names.BACKEND_HEADER: backend}, timeout=20)
            assert answer.status_code == 200
            kind = "tokens" if forced else "requests"
            assert f"x-ratelimit-limit-{kind}" in answer.headers
            (served,) = [each for each in stack.upstream.requests() if each.header(names.BACKEND_HEADER) == backend]
            assert (b"include_usage" in served.body) is forced


def test_without_leave_to_hold_headers_there_is_no_body() -> None:
    """Why Envoy Gateway cannot have it (LR063): the body is kept from the filter, which waits for it in vain."""

    def without(bootstrap: str) -> str:
        kept = [line for line in bootstrap.splitlines() if PERMISSION not in line]
        assert len(kept) == len(bootstrap.splitlines()) - 1
        return "\n".join(kept)

    with LocalStack(edit=without, engine=WASM) as stack:
        stack.apply(POLICY)
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{stack.url}{CHAT}", json={"model": "m", "messages": []}, timeout=1.5)
        assert stack.upstream.requests() == ()
