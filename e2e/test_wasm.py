"""The filter as wasm in Envoy: a sample of what ``make e2e STACK=wasm`` runs, and what is particular to it."""

from __future__ import annotations

import base64
import contextlib
import copy
import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import httpx
import pytest
import yaml

from e2e.client import CHAT, Client, assert_refused
from llmroute import names
from llmroute.conformance.adapters.local import LocalStack
from llmroute.targets import WASM
from tests.policies import header, limit, route, rule, text

USERS: Final = [header(names.USER_HEADER, "Distinct")]
POLICY: Final = text(route(rule(limit(30, unit="Day"), headers=USERS)))
PERMISSION: Final = "allow_on_headers_stop_iteration"


def fresh(stack: LocalStack) -> Iterator[Client]:
    """A user of the policy whom nobody knows."""
    stack.apply(POLICY)
    with contextlib.closing(Client(stack)) as made:
        yield made


@pytest.fixture(scope="module")
def wasm() -> Iterator[LocalStack]:
    """A gateway whose filter is the module."""
    with LocalStack(engine=WASM) as stack:
        yield stack


@pytest.fixture
def client(wasm: LocalStack) -> Iterator[Client]:
    """A fresh user of it."""
    yield from fresh(wasm)


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


def without_leave(bootstrap: str) -> str:
    """As Envoy Gateway writes wasm filters."""
    kept = [line for line in bootstrap.splitlines() if PERMISSION not in line]
    assert len(kept) == len(bootstrap.splitlines()) - 1
    return "\n".join(kept)


@pytest.mark.slow
def test_without_leave_to_hold_headers_there_is_no_body() -> None:
    """Why Envoy Gateway needs a gate: the body is kept from a filter that holds the headers, which waits for it in vain."""
    with LocalStack(edit=without_leave, engine=WASM) as stack:
        stack.apply(POLICY)
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{stack.url}{CHAT}", json={"model": "m", "messages": []}, timeout=1.5)
        assert stack.upstream.requests() == ()


def with_gate(bootstrap: str) -> str:
    """The filter without that leave, and a gate behind it, in the order of Envoy Gateway."""
    document = yaml.safe_load(without_leave(bootstrap))
    (listener,) = document["static_resources"]["listeners"]
    filters = listener["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"]
    reader, gate = filters[0], copy.deepcopy(filters[0])
    configuration = reader["typed_config"]["config"]["configuration"]
    told = json.loads(configuration["value"])
    for each in told["contexts"]:
        each["context"]["gated"] = True
    configuration["value"] = json.dumps(told)
    plugin = gate["typed_config"]["config"]
    plugin["configuration"]["value"] = json.dumps({"gate": True})
    plugin["vm_config"]["vm_id"] = "gate"
    filters.insert(1, gate)
    return yaml.safe_dump(document)


@pytest.fixture(scope="module")
def gated() -> Iterator[LocalStack]:
    """A gateway whose filter has a gate."""
    with LocalStack(edit=with_gate, engine=WASM) as stack:
        yield stack


@pytest.fixture
def behind(gated: LocalStack) -> Iterator[Client]:
    """A fresh user of it."""
    yield from fresh(gated)


def test_with_a_gate_it_charges_and_refuses(behind: Client) -> None:
    """As without one: the model is the body's, and nothing of a refused request reaches the upstream."""
    served = behind.chat(30)
    assert (served.status, behind.settled(30)) == (200, 30)
    assert served.served
    assert served.served.header(names.MODEL_HEADER) == json.loads(served.served.body)["model"]
    assert_refused(behind.chat(5))
    assert behind.settled(30) == 30


def test_bodies_that_come_in_pieces(gated: LocalStack, behind: Client) -> None:
    """Chunked, at any pace; one of 300 KB with a length; none at all; one that waits for a 100."""
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x" * 300_000}]}).encode()
    pieces = [body[at : at + 7000] for at in range(0, len(body), 7000)]
    ways: tuple[tuple[bytes | Iterable[bytes], bytes, dict[str, str]], ...] = (
        (iter(pieces), body, {}),
        (body, body, {}),
        (b"", b"", {}),
        (body, body, {"expect": "100-continue"}),
    )
    for number, (content, whole, more) in enumerate(ways):
        headers = {names.USER_HEADER: f"{behind.user}-{number}", **more}
        httpx.post(f"{gated.url}{CHAT}", content=content, headers=headers, timeout=20)
        served = gated.upstream.requests()[-1]
        assert served.header(names.USER_HEADER) == f"{behind.user}-{number}"
        assert served.body == whole
        assert served.header(names.MODEL_HEADER) == ("m" if whole else "unknown")


def test_a_body_over_the_limit_is_not_held(gated: LocalStack, behind: Client) -> None:
    """It says how long it is, so its model is not waited for; Envoy lets it pass, as it holds nothing of it."""
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x" * 5_000_000}]}).encode()
    httpx.post(f"{gated.url}{CHAT}", content=body, headers={names.USER_HEADER: behind.user}, timeout=20)
    served = gated.upstream.requests()[-1]
    assert served.header(names.USER_HEADER) == behind.user
    assert served.header(names.MODEL_HEADER) == "unknown"
    assert len(served.body) == len(body)


Wrong = Callable[[bytes], bytes]
"""What is wrong with a module: its bytes with and without."""


def renamed(*pairs: tuple[bytes, bytes]) -> Wrong:
    """It calls, or has, something else of the same length and type."""

    def wrong(module: bytes) -> bytes:
        for name, other in pairs:
            assert len(name) == len(other)
            assert module.count(name) == 1
            module = module.replace(name, other)
        return module

    return wrong


def with_wrong(which: int, wrong: Wrong) -> Callable[[str], str]:
    """The filter (0) or its gate (1) has something wrong."""

    def edit(bootstrap: str) -> str:
        document = yaml.safe_load(with_gate(bootstrap))
        (listener,) = document["static_resources"]["listeners"]
        filters = listener["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"]
        code = filters[which]["typed_config"]["config"]["vm_config"]["code"]["local"]
        code["inline_bytes"] = base64.b64encode(wrong(base64.b64decode(code["inline_bytes"]))).decode()
        return yaml.safe_dump(document)

    return edit


LOSES: Final = renamed((b"proxy_enqueue_shared_queue", b"proxy_dequeue_shared_queue"))
DEAF: Final = renamed((b"proxy_on_queue_ready", b"proxy_of_queue_ready"), (b"proxy_on_tick", b"proxy_of_tick"))
UNHEARD: Final = renamed((b"proxy_on_http_call_response", b"proxy_of_http_call_response"))


@pytest.mark.slow
def test_messages_to_the_gate_that_are_lost() -> None:
    """All of them: each request goes on a little later, is charged in full, and the next one is refused."""
    with LocalStack(edit=with_wrong(0, LOSES), engine=WASM) as stack:
        stack.apply(POLICY)
        users = [Client(stack) for _ in range(16)]
        with contextlib.ExitStack() as closing, ThreadPoolExecutor(len(users)) as at_once:
            for user in users:
                closing.callback(user.close)
            for answer in at_once.map(lambda user: user.chat(30), users):
                assert answer.status == 200
                assert answer.served
                assert answer.served.header(names.MODEL_HEADER) == json.loads(answer.served.body)["model"]
            for user in users:
                assert user.settled(30) == 30
                assert_refused(user.chat(5))
                assert user.settled(30) == 30


@pytest.mark.slow
def test_a_gate_that_lets_nothing_go() -> None:
    """The filter before it answers 503: nothing reaches the upstream, and nothing is charged."""
    with LocalStack(edit=with_wrong(1, DEAF), engine=WASM) as stack:
        stack.apply(POLICY)
        with contextlib.closing(Client(stack)) as client:
            assert_unread(client)


@pytest.mark.slow
def test_a_filter_that_never_says() -> None:
    """It hears no answer of the service that it asks to admit the request, and the gate answers 503."""
    asking = route(rule(limit(30, unit="Day"), headers=USERS))
    asking["spec"]["admission"] = {"mode": "PrepaidPrompt"}
    with LocalStack(edit=with_wrong(0, UNHEARD), engine=WASM) as stack:
        stack.apply(text(asking))
        with contextlib.closing(Client(stack)) as client:
            assert_unread(client)


def assert_unread(client: Client) -> None:
    """Nobody hangs: a 503 in the API's shape, of which the upstream knows nothing and the counters neither."""
    answer = client.chat(30)
    assert answer.status == 503
    assert json.loads(answer.body)["error"]["message"] == "The request could not be read."
    assert answer.served is None
    assert client.settled(0) == 0
