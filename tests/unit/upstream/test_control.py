"""The upstream's remote control: records and holds over HTTP, for an upstream in a container."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import httpx
import pytest

from e2e.stacks.remote_upstream import RemoteUpstream
from llmroute.conformance.upstream import MARK_HEADER, Chunk, Script, ScriptedUpstream
from llmroute.conformance.upstream.control import RELEASE_PATH, SERVED_PATH, from_document, to_document
from tests.unit.upstream.conftest import CHAT, TIMEOUT, command


@pytest.fixture
def remote(upstream: ScriptedUpstream) -> Iterator[RemoteUpstream]:
    """The control of the running upstream."""
    control = RemoteUpstream(upstream.url)
    yield control
    control.close()


def test_a_record_comes_over_whole(upstream: ScriptedUpstream, remote: RemoteUpstream, client: httpx.Client) -> None:
    """Every field of it: bytes that are no text, headers in their order and spelling, the usage."""
    body = bytes(range(256))
    client.post(CHAT, content=body, headers=[(MARK_HEADER, "one"), ("X-Twice", "a"), ("X-Twice", "b")])
    upstream.wait_for(lambda served: served[0].finished)
    served = remote.served("one")
    assert served == upstream.served("one")
    assert served
    assert (served.body, served.status, served.finished) == (body, 200, True)
    assert served.usage == {"completion_tokens": 10, "prompt_tokens": 27, "total_tokens": 37}
    assert [value for name, value in served.headers if name == "X-Twice"] == ["a", "b"]


def test_a_record_is_there_while_its_answer_is_not(upstream: ScriptedUpstream, remote: RemoteUpstream) -> None:
    """A request that waits shows what for; ``release`` lets it go."""
    script = Script(chunks=(Chunk(b"first"), Chunk(b"second", hold="a name: /&?")))
    answers: list[bytes] = []

    def ask() -> None:
        with httpx.Client(base_url=upstream.url, timeout=TIMEOUT, trust_env=False) as http:
            answers.append(http.post(CHAT, headers=command(script) | {MARK_HEADER: "held"}).content)

    thread = threading.Thread(target=ask)
    thread.start()
    upstream.wait_for(lambda served: bool(served) and served[0].holding is not None)
    served = remote.served("held")
    assert served
    assert (served.holding, served.chunks, served.finished) == ("a name: /&?", 1, False)
    remote.release("a name: /&?")
    thread.join(TIMEOUT)
    assert answers == [b"firstsecond"]


def test_a_release_before_the_hold_counts(remote: RemoteUpstream, client: httpx.Client) -> None:
    """A name that was released stays so."""
    remote.release("early")
    assert client.post(CHAT, headers=command(Script(hold="early"))).status_code == 200


def test_a_request_that_never_came_is_none(remote: RemoteUpstream) -> None:
    """That is what a refusal's test asserts."""
    assert remote.served("never") is None


def test_control_is_nobodys_traffic(upstream: ScriptedUpstream, remote: RemoteUpstream) -> None:
    """Its calls are not in the ledger."""
    remote.served("anything")
    remote.release("anything")
    assert upstream.requests() == ()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", f"{SERVED_PATH}?request=a", 405),
        ("GET", f"{RELEASE_PATH}?name=a", 405),
        ("GET", SERVED_PATH, 400),
        ("POST", f"{RELEASE_PATH}?name=", 400),
    ],
)
def test_a_call_that_means_nothing_is_refused(client: httpx.Client, method: str, path: str, status: int) -> None:
    """The answer says what was expected."""
    response = client.request(method, path)
    assert response.status_code == status
    assert path.split("?", maxsplit=1)[0] in response.json()["error"]["message"]


def test_what_a_proxy_forwards_commands_nothing(upstream: ScriptedUpstream, client: httpx.Client) -> None:
    """A client of a gateway that asks for these paths is served, and recorded, as any other."""
    headers = {"x-forwarded-proto": "http", MARK_HEADER: "outside"}
    assert client.get(f"{SERVED_PATH}?request=outside", headers=headers).status_code == 404
    assert client.post(f"{RELEASE_PATH}?name=held", headers=headers).status_code == 404
    assert [served.path for served in upstream.requests()] == [
        f"{SERVED_PATH}?request=outside",
        f"{RELEASE_PATH}?name=held",
    ]


def test_documents_are_the_records(upstream: ScriptedUpstream, client: httpx.Client) -> None:
    """There and back again, nothing is lost."""
    client.post(CHAT, content=b"\xff", headers={MARK_HEADER: "one"})
    (served,) = upstream.requests()
    assert from_document(to_document(served)) == served
