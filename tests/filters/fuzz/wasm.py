"""The filter's wasm module under the same cases: what a case says to be known comes of a request that leads there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from llmroute.render.wasm import filter_module
from tests.filters import wasm_host as host
from tests.filters.fuzz.engine import KEYS, POLICIES, Case, Outcome

_REQUEST, _RESPONSE = 0, 2
_ASKING: Final = "asking"
"""The route of the requests before answers; those of the cases are known by the place of their policy."""


class FuzzedWasm:
    """The module on a machine of its own, with one plugin for all policies."""

    def __init__(self, module: bytes | None = None) -> None:
        contexts: list[dict[str, Any]] = [
            {"routes": [str(place)], "context": {"version": 1, **policy}} for place, policy in enumerate(POLICIES)
        ]
        contexts.append({"routes": [_ASKING], "context": {"version": 1}})
        self._machine = host.Machine(module or filter_module())
        self._plugin = self._machine.plugin(json.dumps({"contexts": contexts}))

    def takes(self, case: Case) -> bool:
        """Whether a request leads to what is known.

        On a path that counts tokens nobody is made to ask for usage, and a prompt of at least a quote is a token.
        """
        asked_and_counted = case.known.get("forced_usage") and case.known.get("unestimated")
        return not asked_and_counted and case.known.get("prompt_estimate") != 0

    def run(self, cases: Sequence[Case]) -> list[Outcome]:
        """What comes of each."""
        return [self._run(case) for case in cases]

    def _run(self, case: Case) -> Outcome:
        stream, exchange = self._machine.open(self._plugin)
        middle = ""
        try:
            if case.entry == "request":
                exchange.route = str(case.policy)
                out = self._request(stream, exchange, list(case.headers), case.body if case.pieces else None)
                kind = _REQUEST
            else:
                exchange.route = _ASKING
                self._ask(stream, exchange, case)
                exchange.route = str(case.policy)
                out, middle = self._answer(stream, exchange, case)
                kind = _RESPONSE
            listed = "\n".join(f"{name}: {value}" for name, value in exchange.headers[kind])
            return Outcome(out, _say(exchange), middle, listed, "\n".join(exchange.logs))
        finally:
            self._machine.close(stream)

    def _request(self, stream: int, exchange: host.Exchange, headers: host.Headers, body: bytes | None) -> bytes:
        exchange.headers[_REQUEST] = headers
        said = self._machine.headers(stream, _REQUEST, end=body is None)
        if body is None:
            assert said == host.CONTINUE
            return b""
        after, out = self._machine.body(stream, _REQUEST, body, end=True)
        assert after == host.CONTINUE
        return out

    def _ask(self, stream: int, exchange: host.Exchange, case: Case) -> None:
        """A request of which the metadata says what the case has as known."""
        known = case.known
        forced, estimate = bool(known.get("forced_usage")), known["prompt_estimate"]
        assert isinstance(estimate, int)
        assert estimate >= 1
        path = "/v1/messages/count_tokens" if known.get("unestimated") else "/v1/chat/completions"
        body = {"model": known["model"], "messages": "x" * (4 * estimate - 2)} | ({"stream": True} if forced else {})
        headers = [(":method", "POST"), (":path", path), ("content-type", "application/json")]
        self._request(stream, exchange, headers, json.dumps(body).encode())
        came = host.plain(exchange.properties)
        assert {key: came[key] for key in known} == known

    def _answer(self, stream: int, exchange: host.Exchange, case: Case) -> tuple[bytes, str]:
        exchange.headers[_RESPONSE] = list(case.headers)
        middle, out = "", []
        said = self._machine.headers(stream, _RESPONSE, end=not case.pieces)
        assert said == host.CONTINUE
        for number, piece in enumerate(case.pieces, 1):
            said, sent = self._machine.body(stream, _RESPONSE, piece, end=number == len(case.pieces))
            assert said == host.CONTINUE
            out.append(sent)
            if number == case.watched:
                middle = _say(exchange)
        return b"".join(out), middle


def _say(exchange: host.Exchange) -> str:
    """As the driver of the Lua says it."""
    said = ((key, exchange.properties.get(key)) for key in KEYS)
    return "\n".join(f"{key}={value.decode()}" for key, value in said if value is not None)
