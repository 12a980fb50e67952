"""A client of the gateway: says user, model and script; gets back everything that can be asserted."""

from __future__ import annotations

import http.client
import json
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from e2e.stacks import Stack
from llmroute import names
from llmroute.conformance.case import CHAT, MODEL
from llmroute.conformance.exchange import WITHIN, wait_for
from llmroute.conformance.rows import usage
from llmroute.conformance.upstream import MARK_HEADER, SCRIPT_HEADER, Script, Served, script_header

__all__ = ["CHAT", "MODEL", "VARYING", "WITHIN", "Answer", "Client", "assert_refused", "usage", "wait_for"]

VARYING: Final = frozenset(
    {
        "content-length",  # of a refusal: it holds the seconds
        "date",
        "retry-after",
        "retry-after-ms",
        "x-envoy-upstream-service-time",
        "x-ratelimit-reset-requests",
        "x-ratelimit-reset-tokens",
        "x-request-id",
    }
)
"""Headers whose value differs from run to run."""
HOP_BY_HOP: Final = frozenset({"connection", "transfer-encoding", "x-should-retry"})
"""Headers that a proxy sets for one connection; and the one that depends on the time of day."""
_WAIT: Final = re.compile(r"in \d+s")


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, and what the upstream served for it (None: the request never reached it)."""

    status: int
    headers: httpx.Headers
    body: bytes
    served: Served | None

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Client:
    """One per test. ``user`` is fresh, so counters begin at 0 whatever ran before."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.user = f"user-{uuid.uuid4().hex[:12]}"
        self.observations: list[dict[str, Any]] = []
        """What was seen, without what differs from run to run: for comparing stacks (``--record``)."""
        self._http = httpx.Client(base_url=stack.url, timeout=WITHIN, trust_env=False)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def chat(
        self,
        total: int | None = None,
        *,
        user: str | None = None,
        model: str = MODEL,
        script: Script | None = None,
        headers: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Answer:
        """A chat completion; the upstream reports ``total`` tokens, unless ``script`` says otherwise."""
        content = {"model": model, "messages": [{"role": "user", "content": "hello"}]} | dict(body or {})
        if script is None and total is not None:
            script = Script(usage=usage(total))
        sent = {names.USER_HEADER: self.user if user is None else user} | dict(headers or {})
        return self.send(json.dumps(content).encode(), script=script, headers=sent)

    def send(
        self,
        content: bytes | Iterable[bytes],
        *,
        script: Script | None = None,
        headers: Mapping[str, str] | list[tuple[str, str]] | None = None,
        path: str = CHAT,
        method: str = "POST",
    ) -> Answer:
        """Any request, byte for byte; several pieces go without a length, each a chunk."""
        mark, sent = self._marked(headers, script)
        response = self._http.request(method, path, content=content, headers=sent)
        return self._noted(Answer(response.status_code, response.headers, response.content, self._served(mark)))

    def send_padded(self, content: bytes, user: str) -> Answer:
        """A request whose user header goes over the wire as it stands: httpx refuses outer white space."""
        mark, sent = self._marked({names.USER_HEADER: user}, None)
        connection = http.client.HTTPConnection(urlsplit(self.stack.url).netloc, timeout=WITHIN)
        try:
            connection.request("POST", CHAT, content, dict(sent))
            response = connection.getresponse()
            head = httpx.Headers(response.getheaders())
            return self._noted(Answer(response.status, head, response.read(), self._served(mark)))
        finally:
            connection.close()

    @contextmanager
    def stream(self, body: Mapping[str, Any], *, script: Script, user: str | None = None) -> Iterator[httpx.Response]:
        """A streamed chat completion whose bytes the test reads as they come."""
        _, sent = self._marked({names.USER_HEADER: user or self.user}, script)
        content = {"model": MODEL, "messages": [], "stream": True} | dict(body)
        with self._http.stream("POST", CHAT, content=json.dumps(content), headers=sent) as response:
            yield response

    def _noted(self, answer: Answer) -> Answer:
        self.observations.append(
            {
                "status": answer.status,
                "headers": sorted(
                    (name, "…" if name in VARYING else value)
                    for name, value in answer.headers.multi_items()
                    if name not in HOP_BY_HOP
                ),
                "body": _WAIT.sub("in …", answer.body.decode("utf-8", "replace")),
                "reached": answer.served is not None,
            }
        )
        return answer

    def _marked(
        self, headers: Mapping[str, str] | list[tuple[str, str]] | None, script: Script | None
    ) -> tuple[str, list[tuple[str, str]]]:
        mark = uuid.uuid4().hex
        given = list(headers.items()) if isinstance(headers, Mapping) else list(headers or [])
        sent = [("content-type", "application/json"), (MARK_HEADER, mark), *given]
        if script is not None:
            sent.append((SCRIPT_HEADER, script_header(script)))
        return mark, sent

    def _served(self, mark: str) -> Served | None:
        return self.stack.upstream.served(mark)

    def settled(self, expected: int, limit: int = 0, *values: str) -> int:
        """The counter once it is ``expected`` (a charge lands just after its answer), or what it is after all."""
        values = values or (self.user,)
        wait_for(lambda: self.stack.used(limit, *values) >= expected)
        used = self.stack.used(limit, *values)
        self.observations.append({"limit": limit, "used": used})
        return used


def assert_refused(answer: Answer, kind: str = "tokens") -> None:
    """A refusal of ours: 429 in OpenAI's shape, and the upstream never saw the request."""
    assert answer.status == 429, answer.body
    assert answer.served is None, "a refused request reached the upstream"
    assert answer.json()["error"]["code"] == "rate_limit_exceeded"
    assert answer.json()["error"]["type"] == kind
    assert answer.headers[f"x-ratelimit-remaining-{kind}"] == "0"
    assert int(answer.headers["retry-after"]) > 0
