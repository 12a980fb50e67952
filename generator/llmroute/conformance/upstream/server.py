"""The HTTP side: an aiohttp application that writes answers piece by piece and keeps the ledger."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import HttpVersion11, web
from aiohttp.web_protocol import RequestPayloadError

from llmroute.conformance.upstream import control, openai
from llmroute.conformance.upstream.answer import Answer, plan
from llmroute.conformance.upstream.holds import Holds
from llmroute.conformance.upstream.ledger import Ledger
from llmroute.conformance.upstream.script import SCRIPT_HEADER, Script, ScriptError, parse_script

MAX_BODY_BYTES: Final = 64 * 1024 * 1024
MAX_HEADER_BYTES: Final = 1024 * 1024
"""Scripts travel in a header, and a test of a proxy's own bound must not meet ours first."""
HEALTH_PATH: Final = "/healthz"
"""Answered, not entered in the ledger: probes are nobody's traffic."""


class Server:
    """One listening socket and what was served through it. To be used on one event loop."""

    def __init__(self, ledger: Ledger, grace_seconds: float) -> None:
        """``grace_seconds`` (> 0) is how long ``stop`` lets answers under way go on."""
        self.holds = Holds()
        self._ledger = ledger
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_route("*", r"/{path:[\s\S]*}", self._handle)  # a line end in percent signs, too
        self._runner = web.AppRunner(
            app,
            access_log=None,
            auto_decompress=False,
            handler_cancellation=True,
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
            shutdown_timeout=grace_seconds,
        )

    async def start(self, host: str, port: int) -> int:
        """Listen, and return the port, which is a free one for port 0.

        Raises:
            OSError: the address cannot be listened on.
        """
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host, port).start()
        except OSError:
            await self._runner.cleanup()
            raise
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Stop listening, let answers end within the grace, then cut them."""
        await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if request.path == HEALTH_PATH and SCRIPT_HEADER not in request.headers:
            return web.Response(body=openai.dump({"status": "ok"}), content_type="application/json")
        if control.is_control(request):
            return control.answer(request, self._ledger, self.holds)
        headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in request.raw_headers)
        number = self._ledger.open(request.method, request.raw_path, headers)
        try:
            if request.headers.get("upgrade", "").lower() == "websocket":
                return await self._echo(request, number)
            return await self._serve(request, number)
        except ConnectionError:
            self._ledger.update(number, disconnected=True)
            raise
        except (asyncio.CancelledError, RequestPayloadError):
            # The other side left, or our own stop came: then the transport is still there.
            self._ledger.update(number, disconnected=request.transport is None)
            raise
        finally:
            self._ledger.update(number, finished=True, holding=None)

    async def _serve(self, request: web.Request, number: int) -> web.StreamResponse:
        body = await request.read()
        self._ledger.update(number, body=body)
        try:
            script = parse_script(request.headers.get(SCRIPT_HEADER))
        except ScriptError as error:
            self._ledger.update(number, status=400)
            return web.Response(
                status=400,
                body=openai.dump(openai.error(400, f"{SCRIPT_HEADER}: {error}")),
                content_type="application/json",
            )
        await self._pause(number, script.delay_ms, script.hold)
        answer = plan(request.method, request.path, body, script)
        if answer.silent:
            return self._break(request, number, web.Response())
        return await self._write(request, number, answer, script)

    async def _write(self, request: web.Request, number: int, answer: Answer, script: Script) -> web.StreamResponse:
        """Write the answer; one write is one HTTP/1.1 chunk."""
        response = web.StreamResponse(status=answer.status, headers={"server": "llmroute-upstream"})
        response.headers.update(answer.headers)
        if answer.length is not None:
            response.content_length = answer.length
        elif request.version >= HttpVersion11:
            response.enable_chunked_encoding()
        if script.close:
            response.force_close()
        await response.prepare(request)
        self._ledger.update(number, status=answer.status)
        # An answer to HEAD says how long it would be and has no body; aiohttp would write one all the same.
        for count, piece in enumerate(() if request.method == "HEAD" else answer.pieces, start=1):
            await self._pause(number, piece.chunk.delay_ms, piece.chunk.hold)
            await response.write(piece.chunk.data)
            self._ledger.update(number, chunks=count, **({"usage": piece.usage} if piece.usage else {}))
        if answer.broken:
            return self._break(request, number, response)
        if script.trailers and request.transport is not None:
            # aiohttp has no trailers: the last chunk is written past it, and the connection is at its end.
            lines = "".join(f"{name}: {value}\r\n" for name, value in script.trailers.items())
            request.transport.write(f"0\r\n{lines}\r\n".encode())
            request.transport.close()
            return response
        await response.write_eof()
        return response

    async def _echo(self, request: web.Request, number: int) -> web.StreamResponse:
        """A websocket that says what it hears, until the other side has had enough."""
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self._ledger.update(number, status=101)
        async for message in socket:
            await socket.send_str(message.data)
        return socket

    def _break(self, request: web.Request, number: int, response: web.StreamResponse) -> web.StreamResponse:
        """Close the connection after what was written; aiohttp finds it closed and leaves it at that."""
        self._ledger.update(number, broken=True)
        if request.transport is not None:
            request.transport.close()
        return response

    async def _pause(self, number: int, delay_ms: int, hold: str | None) -> None:
        if delay_ms:
            await asyncio.sleep(delay_ms / 1000)
        if hold is not None:
            self._ledger.update(number, holding=hold)
            await self.holds.event(hold).wait()
            self._ledger.update(number, holding=None)
