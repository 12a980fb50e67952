"""What the upstream remembers of each request, and how it starts and stops."""

from __future__ import annotations

import gzip
import os
import signal
import socket
import subprocess
import sys
import threading

import httpx
import pytest

from llmroute.conformance.upstream import MARK_HEADER, Break, Chunk, Script, ScriptedUpstream, script_header
from llmroute.conformance.upstream.script import parse_script
from tests.unit.upstream.conftest import CHAT, command

STREAM = {"model": "m", "stream": True, "stream_options": {"include_usage": True}}


def test_a_request_is_recorded_as_received(upstream: ScriptedUpstream, client: httpx.Client) -> None:
    """Method, path with query, headers in their order, and the raw bytes of the body."""
    raw = b'{"mod\\u0065l": "m",\n "model": "n"}'
    client.post(f"{CHAT}?a=%2F", content=raw, headers=[("X-User-Id", "u"), ("x-user-id", "v")])
    (served,) = upstream.wait_for(lambda all_: all_[0].finished)
    assert (served.method, served.path, served.body) == ("POST", f"{CHAT}?a=%2F", raw)
    assert [item for item in served.headers if item[0].lower() == "x-user-id"] == [
        ("X-User-Id", "u"),
        ("x-user-id", "v"),
    ]
    assert (served.header("X-USER-ID"), served.header("none")) == ("v", None)
    assert (served.status, served.chunks, served.disconnected) == (200, 1, False)
    assert served.usage == {"completion_tokens": 10, "prompt_tokens": 27, "total_tokens": 37}


def test_a_compressed_body_is_kept_as_it_came(upstream: ScriptedUpstream, client: httpx.Client) -> None:
    """Nobody decodes what a proxy sent before a test has seen it."""
    raw = gzip.compress(b"{}")
    client.post(CHAT, content=raw, headers={"content-encoding": "gzip"})
    assert upstream.requests()[0].body == raw


@pytest.mark.parametrize("header", ["x-request-id", MARK_HEADER])
def test_seen_by_either_id(upstream: ScriptedUpstream, client: httpx.Client, header: str) -> None:
    """A proxy may write its own ``x-request-id``; ours is found as well."""
    assert not upstream.seen("r-1")
    client.post(CHAT, json={}, headers={header: "r-1"})
    assert upstream.seen("r-1")
    assert not upstream.seen("r-2")


def test_usage_of_a_stream_is_recorded_when_it_was_sent(upstream: ScriptedUpstream, client: httpx.Client) -> None:
    """A stream that broke before its usage chunk reported none; a whole one did."""
    client.post(CHAT, json=STREAM, headers=command(Script(usage={"total_tokens": 5})))
    with pytest.raises(httpx.RemoteProtocolError):
        client.post(CHAT, json=STREAM, headers=command(Script(break_after=Break("chunks", 3))))
    whole, broken = upstream.wait_for(lambda all_: len(all_) == 2 and all_[1].finished)
    assert (whole.usage, whole.chunks) == ({"total_tokens": 5}, 14)
    assert (broken.usage, broken.chunks) == (None, 3)


def test_a_client_that_leaves_is_recorded(upstream: ScriptedUpstream, client: httpx.Client) -> None:
    """Leaving while the answer is held ends it at the chunks that were written."""
    script = Script(chunks=(Chunk(b"first"), Chunk(b"never", hold="for ever")))
    with client.stream("POST", CHAT, json=STREAM, headers=command(script)) as answer:
        assert next(answer.iter_raw()) == b"first"
    (served,) = upstream.wait_for(lambda all_: all_[0].finished)
    assert (served.disconnected, served.broken, served.chunks) == (True, False, 1)


def test_a_client_that_leaves_before_the_answer(upstream: ScriptedUpstream) -> None:
    """Leaving while nothing has been answered leaves no status."""
    with socket.create_connection(("127.0.0.1", upstream.port)) as wire:
        held = script_header(Script(hold="for ever"))
        wire.sendall(f"GET /v1/models HTTP/1.1\r\nhost: t\r\nx-llmroute-script: {held}\r\n\r\n".encode())
        upstream.wait_for(lambda all_: bool(all_) and all_[0].holding == "for ever")
    (served,) = upstream.wait_for(lambda all_: all_[0].finished)
    assert (served.disconnected, served.status) == (True, None)


def test_a_client_that_leaves_during_its_upload(upstream: ScriptedUpstream) -> None:
    """A request whose body never came whole is entered, without a body."""
    with socket.create_connection(("127.0.0.1", upstream.port)) as wire:
        wire.sendall(f"POST {CHAT} HTTP/1.1\r\nhost: t\r\ncontent-length: 9\r\n\r\n{{".encode())
        upstream.wait_for(bool)
    (served,) = upstream.wait_for(lambda all_: all_[0].finished)
    assert (served.disconnected, served.status, served.body) == (True, None, b"")


def test_health_probes_are_not_recorded(upstream: ScriptedUpstream, client: httpx.Client) -> None:
    """A probe is nobody's traffic."""
    client.get("/healthz")
    assert upstream.requests() == ()


@pytest.mark.parametrize(
    "script",
    [
        Script(),
        Script(status=500, headers={"a": "b"}, body={"x": [1, None, "é"]}, usage=None, deltas=0),
        Script(usage="absent", delta_delay_ms=5, delay_ms=3, hold="h", close=True),
        Script(chunks=(Chunk(b"\xff\x00"), Chunk("é\r\n".encode(), 7, "h")), break_after=Break("bytes", 9)),
        Script(usage={"total_tokens": 1}, chunks=()),
    ],
)
def test_a_script_survives_its_header(script: Script) -> None:
    """What a client commands is what the server reads; the header is one line of ASCII."""
    header = script_header(script)
    assert header.isascii()
    assert header.isprintable()
    assert parse_script(header) == script


def test_no_header_is_the_default_script() -> None:
    """Nothing commanded, everything plausible."""
    assert parse_script(None) == parse_script(script_header(Script())) == Script()
    assert script_header(Script()) == "{}"


def test_stopping_leaves_no_thread_and_no_socket() -> None:
    """After the block nothing listens, also when an answer was still held; the records stay."""
    before = set(threading.enumerate())
    with ScriptedUpstream() as upstream, httpx.Client(trust_env=False) as client:
        port = upstream.port
        script = Script(chunks=(Chunk(b"a"), Chunk(b"b", hold="for ever")))
        request = client.build_request("POST", upstream.url + CHAT, json={}, headers=command(script))
        answer = client.send(request, stream=True)
        upstream.wait_for(lambda all_: all_[0].holding == "for ever")
        upstream.__exit__(None, None, None)
        answer.close()
    assert set(threading.enumerate()) == before
    assert upstream.requests()[0].finished
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    with pytest.raises(RuntimeError, match="does not run"):
        _ = upstream.url


def test_a_busy_port_is_an_error_in_the_caller(upstream: ScriptedUpstream) -> None:
    """Starting on a port in use raises where it was asked for, and leaves no thread."""
    before = set(threading.enumerate())
    with pytest.raises(OSError, match="in use"), ScriptedUpstream(port=upstream.port):
        pass
    assert set(threading.enumerate()) == before


def test_many_requests_at_once_are_all_counted(upstream: ScriptedUpstream) -> None:
    """Threads that ask together are each entered once."""

    def ask(name: str) -> None:
        answer = httpx.post(upstream.url + CHAT, json={}, headers={MARK_HEADER: name}, trust_env=False)
        assert answer.status_code == 200

    threads = [threading.Thread(target=ask, args=(f"r{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {served.header(MARK_HEADER) for served in upstream.requests()} == {f"r{n}" for n in range(8)}


def test_the_program_serves_and_stops_on_sigterm() -> None:
    """It says when it is ready, serves, and ends with 0 on SIGTERM."""
    command_line = [sys.executable, "-m", "llmroute.conformance.upstream", "--port", "0"]
    with subprocess.Popen(command_line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            ready = process.stdout.readline()
            assert ready.startswith("ready: http://127.0.0.1:")
            url = ready.removeprefix("ready: ").strip()
            answer = httpx.post(url + CHAT, json={}, trust_env=False)
            assert answer.json()["usage"]["total_tokens"] == 37
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=10)
        finally:
            process.kill()
    assert (process.returncode, errors) == (0, "")


def test_the_program_says_that_a_port_is_busy(upstream: ScriptedUpstream) -> None:
    """One line, exit code 1, no traceback."""
    command_line = [sys.executable, "-m", "llmroute.conformance.upstream", "--port", str(upstream.port)]
    done = subprocess.run(command_line, capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 1
    assert done.stderr.startswith(f"cannot listen on 127.0.0.1:{upstream.port}: ")
    assert done.stderr.count("\n") == 1


def test_the_parent_package_needs_no_aiohttp() -> None:
    """``import llmroute.conformance`` works where the extra ``local`` is not installed."""
    code = "import sys, llmroute.conformance; sys.exit('aiohttp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env=dict(os.environ), check=False).returncode == 0
