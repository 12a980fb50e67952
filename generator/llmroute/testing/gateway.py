"""The gateway of a test: a real Envoy with the filter, the embedded rate limit service, a scripted upstream."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from llmroute import names
from llmroute.conformance.case import CHAT, HELLO, MODEL, Request
from llmroute.conformance.exchange import Sender
from llmroute.conformance.rows import usage
from llmroute.conformance.upstream import Script, Served
from llmroute.explain import Asked, Sent, TurnedAway, asked, explained
from llmroute.local.settled import connections, settle
from llmroute.plan import Plan, Route
from llmroute.testing.answer import Answer
from llmroute.testing.clock import BEGIN, Clock
from llmroute.testing.counters import Counter, counters, limit_of
from llmroute.testing.identity import said_by
from llmroute.testing.policy import PolicyStack, read, target


class Gateway:
    """A policy in force. Requests come one after the other, and every charge has landed when one returns.

    ``asked`` are the answers since the counters were emptied.
    """

    def __init__(self, stack: PolicyStack) -> None:
        self._stack = stack
        self.asked: list[Answer] = []

    @property
    def url(self) -> str:
        """Where it takes traffic, for clients of one's own; without a slash at the end."""
        return self._stack.url

    @property
    def clock(self) -> Clock:
        """The time by which its windows turn."""
        return Clock(self._stack)

    @property
    def plan(self) -> Plan:
        """What the policy means."""
        return self._stack.plan

    def ask(  # noqa: PLR0913 each is something that a request says, or its answer
        self,
        *,
        user: str | None = None,
        model: str = MODEL,
        tokens: int | Mapping[str, Any] = 1,
        prompt: int = 0,
        stream: bool = False,
        backend: str | None = None,
        claims: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        path: str = CHAT,
        status: int = 200,
        script: Script | None = None,
    ) -> Answer:
        """Send a chat completion, and wait until its answer is charged.

        Args:
            user: who asks, in whatever way the policy knows users: a header, an API key, a token. None does not say.
            model: the model that the body names.
            tokens: what the answer reports in total, of which ``prompt`` are the prompt's; or a whole usage object.
            prompt: tokens of the prompt.
            stream: whether the answer is asked for as an event stream.
            backend: the backend that the request names, for a policy with several.
            claims: more claims of the user's token.
            headers: more headers.
            body: fields of the body beside model, messages and stream, or in place of them.
            path: another path.
            status: what the upstream answers.
            script: all that the upstream does, in place of ``tokens`` and ``status``.

        Raises:
            UnknownUser: the policy knows nobody of this name.
            NoAnswer: the gateway did not answer to the end.
            Unsettled: something is still under way after ten seconds.
        """
        __tracebackhide__ = True
        who = said_by(self._route(backend), user, claims or {})
        named = ((names.BACKEND_HEADER, backend),) if backend else ()
        content: dict[str, Any] = {"model": model, "messages": list(HELLO)} | ({"stream": True} if stream else {})
        request = Request(
            user=None,
            headers=(*who.headers, *named, *(headers or {}).items()),
            body=json.dumps(content | dict(body or {})).encode(),
            path=path + who.query,
        )
        script = script or Script(status=status, usage=_usage(tokens, prompt))
        envoy = self._stack.gateway.envoy
        still_open, before = connections(envoy), self._hits()
        found = Sender(self.url, self._stack.upstream, "").exchange(request, script)
        settle(envoy, still_open)
        answer = Answer(
            request=f"{user or 'nobody'} asks {model}",
            status=found.status,
            headers={name.lower(): value for name, value in found.headers},
            body=found.body,
            reached=found.served is not None,
            model=_header(found.served, names.MODEL_HEADER),
            backend=_header(found.served, names.BACKEND_HEADER),
            charged=self._moved(before),
        )
        self.asked.append(answer)
        return answer

    def used(  # noqa: PLR0913 as above
        self,
        limit: int | None = None,
        *,
        user: str | None = None,
        model: str = MODEL,
        backend: str | None = None,
        headers: Mapping[str, str] | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> int:
        """What has been used of a limit, in tokens or requests, by whoever such a request would be counted with.

        Args:
            limit: its place in the policy, from 1; not needed where only one applies to the request.
            user: who would ask.
            model: the model.
            backend: the backend that the request would name.
            headers: more headers.
            metadata: what other filters would find out, by its path with dots, such as a token's claim.

        Raises:
            LookupError: no limit applies, or several do and none is named; says which there are.
        """
        __tracebackhide__ = True
        settle(self._stack.gateway.envoy)
        route = self._route(backend)
        sent = {name.lower(): value for name, value in (headers or {}).items()}
        request = asked(route, Sent(model, user, backend, sent, metadata or {}))
        if isinstance(request, TurnedAway):
            raise LookupError(  # noqa: TRY004 it is no type that is wrong
                f"such a request meets no limit: {request.why}"
            )
        return self._hits().get(self._key(route, request, limit), 0)

    def counters(self) -> tuple[Counter, ...]:
        """Every counter that has moved and whose window is not over, in the order of the policy."""
        settle(self._stack.gateway.envoy)
        return tuple(counters(self.plan, self._hits(), self._stack.now))

    def reset(self) -> None:
        """Empty every counter, and go to where each test begins."""
        self.asked.clear()
        settle(self._stack.gateway.envoy)
        self._stack.begin(BEGIN)

    def logs(self) -> str:
        """The last that Envoy and the filter had to say."""
        return self._stack.logs()

    def __repr__(self) -> str:
        return f"<Gateway of {', '.join(route.name for route in self.plan.routes)} at {self.url}>"

    def _route(self, backend: str | None) -> Route:
        """That of the backend, or the one which such requests come to."""
        routes = self.plan.routes
        having = (route for route in routes if backend and backend in {each.name for each in route.backends})
        return next(having, next((route for route in routes if route.takes_unnamed or route.undecided), routes[0]))

    def _key(self, route: Route, request: Asked, limit: int | None) -> str:
        __tracebackhide__ = True
        of_route = explained(route, request, target(), self._stack.now)
        known = {limit_of(self.plan, route, each.counter): each for each in of_route}
        applying = [place for place, each in known.items() if not each.why_not]
        if limit is None and len(applying) == 1:
            return known[applying[0]].key
        if limit in applying:
            return known[limit].key
        if limit in known:
            raise LookupError(f"limit {limit} does not apply: {known[limit].why_not}")
        said = f"there is no limit {limit} for it" if limit else f"{len(applying)} limits apply"
        raise LookupError(f"{said}; those that do are: {', '.join(map(str, applying)) or 'none'}")

    def _hits(self) -> Mapping[str, int]:
        return self._stack.counted()

    def _moved(self, before: Mapping[str, int]) -> dict[int, int]:
        """By how much counters have moved, by the place of their limit."""
        moved = {key: hits - before.get(key, 0) for key, hits in self._hits().items()}
        return {each.limit: each.used for each in counters(self.plan, moved, self._stack.now)}


def _usage(tokens: int | Mapping[str, Any], prompt: int) -> Mapping[str, Any]:
    __tracebackhide__ = True
    if not isinstance(tokens, int):
        return tokens
    if not 0 <= prompt <= tokens:
        raise ValueError(f"of {tokens} tokens {prompt} cannot be the prompt's")
    return usage(tokens, prompt, tokens - prompt)


def _header(served: Served | None, name: str) -> str | None:
    return served.header(name) if served else None


@contextlib.contextmanager
def serve(*files: Path) -> Iterator[Gateway]:
    """Serve the policy of these files, read as one, until the context ends.

    Raises:
        PolicyError: the policy has errors; says which.
        Unavailable: there is no Envoy; says how to get one.
        StartError: a part does not come up; says its last words.
    """
    with PolicyStack(read(files)) as stack:
        stack.begin(BEGIN)
        yield Gateway(stack)
