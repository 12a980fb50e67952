"""Answers that few servers give: longer than a header can say, with trailers, or over a websocket."""

from __future__ import annotations

import asyncio
import socket

import aiohttp
import httpx
import pytest

from llmroute.conformance.upstream import MARK_HEADER, SCRIPT_HEADER, Chunk, Script, ScriptedUpstream, ScriptError
from llmroute.conformance.upstream.script import parse_script, script_header
from tests.unit.upstream.conftest import CHAT, TIMEOUT, command


def test_a_chunk_many_times(client: httpx.Client) -> None:
    """A short header commands a long body."""
    script = Script(chunks=(Chunk(b"["), Chunk(b"12345", times=200_000), Chunk(b"]")))
    assert len(script_header(script)) < 100
    assert client.post(CHAT, json={}, headers=command(script)).content == b"[" + b"12345" * 200_000 + b"]"


def test_trailers(upstream: ScriptedUpstream) -> None:
    """They follow the last chunk, and the connection closes."""
    script = Script(chunks=(Chunk(b"a"), Chunk(b"b")), trailers={"X-Sum": "1"})
    request = f"POST {CHAT} HTTP/1.1\r\nhost: test\r\n{SCRIPT_HEADER}: {script_header(script)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", upstream.port), TIMEOUT) as wire:
        wire.sendall(request.encode())
        received = b"".join(iter(lambda: wire.recv(65536), b""))
    assert received.partition(b"\r\n\r\n")[2] == b"1\r\na\r\n1\r\nb\r\n0\r\nx-sum: 1\r\n\r\n"


def test_the_header_says_them_again() -> None:
    """What a script says, its header says."""
    script = Script(chunks=(Chunk(b"a", times=3),), trailers={"x-a": "1"})
    assert parse_script(script_header(script)) == script


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ('{"chunks":[{"data":"a","times":0}]}', "times: a whole number >= 1"),
        ('{"trailers":1}', "trailers: an object"),
        ('{"trailers":{"a":"b\\r\\nc: d"}}', "trailers.a: a string of one line"),
    ],
)
def test_what_cannot_be_obeyed(header: str, message: str) -> None:
    """It is refused by the name of its field."""
    with pytest.raises(ScriptError, match=message):
        parse_script(header)


def test_websocket(upstream: ScriptedUpstream) -> None:
    """It says what it hears, and the ledger knows of its end."""

    async def talk() -> str:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(TIMEOUT)) as session,
            session.ws_connect(f"{upstream.url}/v1/realtime", headers={MARK_HEADER: "m"}) as socket,
        ):
            await socket.send_str("hello")
            return await socket.receive_str(timeout=TIMEOUT)

    assert asyncio.run(talk()) == "hello"
    (served,) = upstream.wait_for(lambda all_: all_[0].finished)
    assert (served.status, served.ids[0]) == (101, "m")


def test_paths_with_line_ends(upstream: ScriptedUpstream, client: httpx.Client) -> None:
    """A path that has a line end in percent signs is a path."""
    assert client.post("/v1%0A/chat/completions", json={}).status_code == 200
    assert upstream.requests()[0].path == "/v1%0A/chat/completions"


def test_deep_bodies(client: httpx.Client) -> None:
    """A body too deep for Python's parser counts as one that cannot be read."""
    assert client.post(CHAT, content=b"[" * 100_000).status_code == 200
