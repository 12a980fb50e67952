"""What the upstream says when nothing commands it: the original document's answer, in OpenAI's shapes."""

from __future__ import annotations

import json
import socket
from typing import Any

import httpx
import pytest

from llmroute.conformance.upstream import ScriptedUpstream

CHAT = "/openai/v1/chat/completions"
DOCUMENT = (
    b'{"id":"5aaa42ad-7b1e-43e5-a2c9-0f8b2e13cfbe","choices":[{"finish_reason":"length","index":0,"message":'
    b'{"content":"I\'m not sure if this is a good idea","tool_calls":null,"role":"assistant",'
    b'"function_call":null},"logprobs":null}],"created":1727074495,"model":"hf-opt-125m-chat",'
    b'"system_fingerprint":null,"object":"chat.completion",'
    b'"usage":{"completion_tokens":10,"prompt_tokens":27,"total_tokens":37}}'
)
USAGE = {"completion_tokens": 10, "prompt_tokens": 27, "total_tokens": 37}


def _stream(client: httpx.Client, path: str, **fields: Any) -> list[Any]:
    """The events of a streamed answer, ``[DONE]`` checked and taken off."""
    answer = client.post(path, json={"model": "m", "stream": True, **fields})
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    *events, done, end = answer.text.split("\n\n")
    assert (done, end) == ("data: [DONE]", "")
    return [json.loads(event.removeprefix("data: ")) for event in events]


def test_chat_is_the_documents_answer_to_the_byte(client: httpx.Client) -> None:
    """The document's curl gets the document's answer."""
    answer = client.post(CHAT, json={"model": "hf-opt-125m-chat", "stream": False, "max_tokens": 10})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.content == DOCUMENT


@pytest.mark.parametrize("prefix", ["", "/v1", "/openai/v1", "/openai/deployments/gpt-4o"])
def test_any_prefix_is_the_same_api(client: httpx.Client, prefix: str) -> None:
    """Only the path's end says which API is called."""
    assert client.post(f"{prefix}/chat/completions?api-version=1", json={"model": "m"}).json()["model"] == "m"


def test_stream_without_usage_asked_for_has_none(client: httpx.Client) -> None:
    """As at OpenAI: no usage, not even a null one, unless ``include_usage`` is true."""
    events = _stream(client, CHAT)
    assert all("usage" not in event for event in events)
    assert [event["choices"][0]["finish_reason"] for event in events] == [None] * 11 + ["length"]
    assert events[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    said = "".join(event["choices"][0]["delta"].get("content", "") for event in events)
    assert said == "I'm not sure if this is a good idea"


def test_stream_with_usage_asked_for_ends_in_one_usage_chunk(client: httpx.Client) -> None:
    """With ``include_usage`` every chunk says null and one more, without choices, says the numbers."""
    events = _stream(client, CHAT, stream_options={"include_usage": True})
    assert [event["usage"] for event in events] == [None] * 12 + [USAGE]
    assert [len(event["choices"]) for event in events] == [1] * 12 + [0]
    assert {event["object"] for event in events} == {"chat.completion.chunk"}


@pytest.mark.parametrize("options", [None, {}, {"include_usage": False}, {"include_usage": "true"}, []])
def test_only_true_asks_for_usage(client: httpx.Client, options: Any) -> None:
    """Anything but the boolean true asks for nothing."""
    assert all("usage" not in event for event in _stream(client, CHAT, stream_options=options))


def test_completions_whole_and_streamed(client: httpx.Client) -> None:
    """The older API has its own object, the same text and the same usage."""
    whole = client.post("/v1/completions", json={"model": "m"}).json()
    assert (whole["object"], whole["usage"]) == ("text_completion", USAGE)
    assert whole["choices"][0]["text"] == "I'm not sure if this is a good idea"
    events = _stream(client, "/v1/completions", stream_options={"include_usage": True})
    assert "".join(e["choices"][0]["text"] for e in events if e["choices"]) == whole["choices"][0]["text"]
    assert [event["usage"] for event in events] == [None] * 11 + [USAGE]


def test_embeddings_charge_the_prompt_alone(client: httpx.Client) -> None:
    """One vector for each input; total is the prompt."""
    answer = client.post("/v1/embeddings", json={"model": "e", "input": ["a", "b"]}).json()
    assert [item["index"] for item in answer["data"]] == [0, 1]
    assert (answer["model"], answer["usage"]) == ("e", {"prompt_tokens": 27, "total_tokens": 27})


def test_models_and_health_paths(client: httpx.Client) -> None:
    """The probes of the original manifest are answered, and the list names its model."""
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/openai/v1/models").json()["data"][0]["id"] == "hf-opt-125m-chat"
    assert client.get("/openai/v1/models/hf-opt-125m-chat").json()["id"] == "hf-opt-125m-chat"
    assert client.head("/v1/models").content == b""


@pytest.mark.parametrize("body", [b"", b"no JSON", b"[]", b'{"model":7}', b"\xff"])
def test_a_body_it_cannot_read_is_charged_all_the_same(client: httpx.Client, body: bytes) -> None:
    """A request that evades a limit must be seen to cost something."""
    answer = client.post(CHAT, content=body).json()
    assert (answer["model"], answer["usage"]["total_tokens"]) == ("unknown", 37)


def test_unknown_places_get_openais_errors(client: httpx.Client) -> None:
    """404 for a path that no API has, 405 for a method."""
    assert client.post("/v1/nothing", json={}).status_code == 404
    assert client.get("/v1/nothing").json()["error"]["message"] == "Invalid URL (GET /v1/nothing)"
    assert client.delete(CHAT).status_code == 405


def test_head_has_no_body(upstream: ScriptedUpstream) -> None:
    """Not one byte after the head: on a kept connection it would be read as the next answer."""
    with socket.create_connection(("127.0.0.1", upstream.port), timeout=5) as connection:
        connection.sendall(b"HEAD /v1/models HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    assert received.startswith(b"HTTP/1.1 200 ")
    assert received.endswith(b"\r\n\r\n")
    assert b"content-length: " in received.lower()
