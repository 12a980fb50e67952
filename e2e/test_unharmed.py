"""What is no plain answer passes unharmed: no byte of it changes, nothing breaks, and the charge is exact."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import json
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import aiohttp
import pytest

from e2e.client import CHAT, WITHIN, Client, usage, wait_for
from e2e.conftest import Serve
from e2e.raw import PLAIN, Raw
from e2e.stacks.protocol import on_envoy_gateway
from llmroute import names
from llmroute.conformance.upstream import MARK_HEADER, SCRIPT_HEADER, Break, Chunk, Script, script_header
from tests.policies import header, limit, route, rule, text

POLICY: Final = text(route(rule(limit(4_000_000, unit="Day"), headers=[header(names.USER_HEADER, "Distinct")])))
ASKED: Final = b'{"model":"m","messages":["1"],"stream":true,"stream_options":{"include_usage":true}}'
PROMPT: Final = 2
"""A quarter of the bytes of ``["1"]``, rounded up."""
DELTA: Final = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
USAGE: Final = b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}\n\n'
EVENTS: Final = {"content-type": "text/event-stream"}
SENTINEL: Final = 3


@pytest.fixture
def client(serve: Serve) -> Client:
    """A fresh user with more tokens a day than any test takes."""
    return serve(POLICY)


def assert_charged(client: Client, expected: int) -> None:
    """Exactly so much was counted: a request after it is counted, too, so nothing is still to come."""
    assert client.chat(script=Script(usage=usage(SENTINEL))).status == 200
    assert client.settled(expected + SENTINEL) == expected + SENTINEL


def test_compressed_json(client: Client) -> None:
    """The upstream compresses though nobody asked it to: the same bytes, and a quarter of them charged."""
    packed = gzip.compress(json.dumps({"choices": [], "usage": usage(99)}).encode(), mtime=0)
    script = Script(headers={"content-encoding": "gzip"}, chunks=(Chunk(packed),))
    response, body = Raw(client, script).exchange()
    assert (response.getheader("content-encoding"), body) == ("gzip", packed)
    assert_charged(client, PROMPT - (-len(packed) // 4))


def test_compressed_stream(client: Client) -> None:
    """The same for a stream that usage was forced on: what cannot be read is not rewritten."""
    packed = gzip.compress(DELTA + USAGE, mtime=0)
    script = Script(headers=EVENTS | {"content-encoding": "gzip"}, chunks=(Chunk(packed[:20]), Chunk(packed[20:])))
    _, body = Raw(client, script).exchange(b'{"model":"m","messages":["1"],"stream":true}')
    assert body == packed
    assert_charged(client, PROMPT - (-len(packed) // 4))


def test_no_encoding_is_asked_for(client: Client) -> None:
    """The client's accept-encoding does not reach the upstream, so that answers come plain."""
    raw = Raw(client, Script(usage=usage(5)))
    raw.header("accept-encoding", "gzip, br")
    response, _ = raw.exchange()
    served = client.stack.upstream.served(raw.mark)
    assert served
    assert served.header("accept-encoding") is None
    assert response.getheader("content-encoding") is None
    assert_charged(client, 5)


@pytest.mark.parametrize(
    ("stream", "charged"),
    [((DELTA, DELTA), PROMPT + 2), ((DELTA, USAGE), 7), ((DELTA, USAGE[:40]), PROMPT + 1), ((USAGE, DELTA), 7)],
    ids=["before usage", "after usage", "inside usage", "after usage and more"],
)
def test_the_upstream_resets(client: Client, stream: tuple[bytes, ...], charged: int) -> None:
    """The client sees what came and that it broke off; it pays for what came."""
    chunks = tuple(Chunk(piece, delay_ms=30 * at) for at, piece in enumerate(stream))
    script = Script(headers=EVENTS, chunks=chunks, break_after=Break("chunks", len(chunks)))
    with Raw(client, script) as raw:
        response = raw.send(ASKED)
        with pytest.raises(http.client.IncompleteRead) as broken:
            response.read()
    assert broken.value.partial == b"".join(stream)
    assert_charged(client, charged)


@pytest.mark.parametrize(("status", "charged"), [(200, PROMPT), (204, PROMPT), (304, 0), (404, 0)], ids=str)
def test_no_body(client: Client, status: int, charged: int) -> None:
    """An answer without a body is an answer: a success costs its prompt."""
    response, body = Raw(client, Script(status=status, chunks=())).exchange()
    assert (response.status, body) == (status, b"")
    assert_charged(client, charged)


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "GET"])
@pytest.mark.parametrize("path", [CHAT, "/v1/models"])
def test_methods_that_cost_nothing(client: Client, method: str, path: str) -> None:
    """Not even when the answer says usage; the head of an answer to HEAD says how long it would be."""
    script = Script(body={"usage": usage(99)})
    response, body = Raw(client, script, method=method, path=path).exchange(None)
    whole = json.dumps(script.body, separators=(",", ":")).encode()
    assert response.status == 200
    assert body == (b"" if method == "HEAD" else whole)
    if method == "HEAD":
        assert response.getheader("content-length") in {None, str(len(whole))}
    assert_charged(client, 0)


def test_trailers_of_an_answer(client: Client) -> None:
    """A proxy drops trailers that it was not told to pass; the body before them is whole and charged."""
    script = Script(headers=EVENTS, chunks=(Chunk(DELTA), Chunk(USAGE)), trailers={"x-sum": "1"})
    with Raw(client, script) as raw:
        response = raw.send(ASKED)
        assert response.read() == DELTA + USAGE
        assert response.getheader("x-sum") is None
    assert_charged(client, 7)


def test_trailers_after_half_an_event(client: Client) -> None:
    """A rewritten stream that trailers end: what was held is not lost."""
    script = Script(headers=EVENTS, chunks=(Chunk(DELTA), Chunk(USAGE), Chunk(b": half")), trailers={"x-sum": "1"})
    with Raw(client, script) as raw:
        assert raw.send(b'{"model":"m","messages":["1"],"stream":true}').read() == DELTA + b": half"
    assert_charged(client, 7)


async def converse(client: Client, mark: str, *messages: str) -> list[str]:
    """Say each message over a websocket and hear its echo; then leave."""
    headers = {names.USER_HEADER: client.user, MARK_HEADER: mark}
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(WITHIN)) as session,
        session.ws_connect(f"{client.stack.url}/v1/realtime?model=m", headers=headers) as socket,
    ):
        heard = []
        for message in messages:
            await socket.send_str(message)
            heard.append(await socket.receive_str(timeout=WITHIN))
        return heard


def test_websocket(client: Client) -> None:
    """An upgraded connection carries both ways, the upstream learns of its end, and it costs no tokens.

    Envoy Gateway takes no upgrades on a route whose requests are held (``requestBuffer``), which the model needs.
    """
    mark = uuid.uuid4().hex
    messages = ("hello", '{"usage":{"total_tokens":99}}', "x" * 100_000)
    if on_envoy_gateway(client.stack):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            asyncio.run(converse(client, mark, *messages))
        assert refused.value.status == 403
        assert client.stack.upstream.served(mark) is None
    else:
        assert asyncio.run(converse(client, mark, *messages)) == list(messages)

        def ended() -> bool:
            served = client.stack.upstream.served(mark)
            return served is not None and served.finished

        assert wait_for(ended)
    assert_charged(client, 0)


def test_100_continue(client: Client) -> None:
    """A client that asks before it sends its body is told to go on, and its model is read."""
    raw = Raw(client, Script(usage=usage(5)))
    raw.header("expect", "100-continue")
    raw.header("content-length", str(len(PLAIN)))
    with raw:
        raw.connection.endheaders()
        assert raw.connection.sock
        raw.connection.sock.settimeout(WITHIN)
        assert raw.connection.sock.recv(1000).startswith(b"HTTP/1.1 100 ")
        raw.connection.send(PLAIN)
        response = raw.connection.getresponse()
        assert response.status == 200
        assert response.read()  # who leaves before the body pays the estimate
    served = client.stack.upstream.served(raw.mark)
    assert served
    assert (served.body, served.header(names.MODEL_HEADER)) == (PLAIN, "m")
    assert_charged(client, 5)


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_a_request_in_chunks(client: Client, step: int) -> None:
    """A body without a length, in pieces of any size, is read whole."""
    raw = Raw(client, Script(usage=usage(5)))
    raw.header("transfer-encoding", "chunked")
    with raw:
        raw.connection.endheaders()
        for at in range(0, len(PLAIN), step):
            piece = PLAIN[at : at + step]
            raw.connection.send(b"%x\r\n%s\r\n" % (len(piece), piece))
        raw.connection.send(b"0\r\n\r\n")
        response = raw.connection.getresponse()
        assert response.status == 200
        assert response.read()
    served = client.stack.upstream.served(raw.mark)
    assert served
    assert (served.body, served.header(names.MODEL_HEADER)) == (PLAIN, "m")
    assert_charged(client, 5)


@pytest.mark.parametrize("reported", [True, False], ids=["with usage", "without"])
def test_a_long_answer(client: Client, reported: bool) -> None:
    """5 MB of JSON are passed on, not held, and charged exactly."""
    end = b'"}}],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}' if reported else b'"}}]}'
    start, unit, times = b'{"choices":[{"message":{"content":"', b'0123456789\\n\\"x', 350_000
    response, body = Raw(client, Script(chunks=(Chunk(start), Chunk(unit, times=times), Chunk(end)))).exchange()
    assert response.status == 200
    assert body == start + unit * times + end
    assert len(body) > 5_000_000
    assert_charged(client, 7 if reported else PROMPT - (-len(body) // 4))


def test_a_client_of_http_2(client: Client, tmp_path: Path) -> None:
    """A stream over HTTP/2, forced usage taken out: the same bytes and charges as over HTTP/1.1."""
    curl = shutil.which("curl")
    if not curl or b"HTTP2" not in subprocess.run([curl, "--version"], capture_output=True, check=True).stdout:
        pytest.skip("missing capability: a curl that speaks HTTP/2")
    script = Script(headers=EVENTS, chunks=(Chunk(DELTA), Chunk(USAGE), Chunk(b"data: [DONE]\n\n")))
    headers = tmp_path / "headers"
    headers.write_text("".join(f"{name}: {value}\n" for name, value in _headers(client, script)))
    options = ["-sS", "--noproxy", "*", "--http2-prior-knowledge", "-w", "%{http_version} %{http_code}"]
    body = '{"model":"m","messages":["1"],"stream":true}'
    command = [curl, *options, "-H", f"@{headers}", "--data-binary", body, f"{client.stack.url}{CHAT}"]
    out = subprocess.run(command, capture_output=True, timeout=WITHIN, check=True).stdout
    assert out == DELTA + b"data: [DONE]\n\n" + b"2 200"
    assert_charged(client, 7)


def _headers(client: Client, script: Script) -> Iterator[tuple[str, str]]:
    yield "content-type", "application/json"
    yield names.USER_HEADER, client.user
    yield SCRIPT_HEADER, script_header(script)
