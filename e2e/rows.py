"""Traffic as a table: each row is a request, what the upstream reports for it, and what has to come of both.

After each row all counters that the table has touched are compared with the sum of what the rows say was charged.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from e2e.client import CHAT, MODEL, Answer, Client, assert_refused, usage
from llmroute import names
from llmroute.conformance.upstream import Chunk, Script
from tests.policies import header, limit, route, rule, text, with_spec

REFUSED: Final = 429
USERS: Final = [header(names.USER_HEADER, "Distinct")]
USER: Final = ("user",)
ALL: Final = ()
STREAM: Final = {"stream": True, "stream_options": {"include_usage": True}}
_JSON: Final = {"content-type": "application/json"}
_SSE: Final = {"content-type": "text/event-stream"}

Reported = int | tuple[int, int, int] | Script
"""A total; prompt, completion and total; or all that the upstream does."""
Subject = Sequence[str]
"""Whose counter a limit moves: ``user``, ``model``, a header's name, or what a row calls it in ``whose``."""


@dataclass(frozen=True, slots=True)
class Case:
    """A case of another gateway: its id, a policy, the traffic, and whose counters the limits move."""

    id: str
    policy: str
    rows: Sequence[Row]
    subjects: Sequence[Subject] = (USER,)

    def run(self, serve: Callable[[str], Client]) -> None:
        """Row by row."""
        play(serve(self.policy), self.rows, self.subjects)


@dataclass(frozen=True, slots=True)
class Row:
    """A request and what comes of it.

    ``charges``: by how much it moves the counter of each limit of the policy, in their order. ``left``: what the answer
    says remained at admission. ``by``: the kind of the limit that refuses. ``user`` "" is the client's own. ``whose`` names
    subjects that no header of the request does.
    """

    reports: Reported
    status: int
    charges: tuple[int, ...]
    user: str = ""
    model: str = MODEL
    headers: Mapping[str, str] = field(default_factory=dict)
    whose: Mapping[str, str] = field(default_factory=dict)
    path: str = CHAT
    body: Mapping[str, Any] | bytes = field(default_factory=dict)
    left: int | None = None
    by: str = "tokens"
    says: str = ""

    @property
    def script(self) -> Script:
        """What the upstream is told."""
        if isinstance(self.reports, Script):
            return self.reports
        if isinstance(self.reports, int):
            return Script(usage=usage(self.reports))
        prompt, completion, total = self.reports
        return Script(usage=usage(total, prompt, completion))


def ok(reports: Reported, *charges: int, **more: Any) -> Row:
    """Admitted, served, and charged so much; the total to the one limit there is, where nothing is said."""
    return Row(reports, 200, charges or (_total(reports),), **more)


def refused(*charges: int, reports: Reported = 1, **more: Any) -> Row:
    """429 of ours. ``charges``: a limit of requests counts requests that another limit refuses, too."""
    return Row(reports, REFUSED, charges, **more)


def denied(status: int, **more: Any) -> Row:
    """Turned away before any limit was asked."""
    return Row(1, status, (), **more)


def _total(reports: Reported) -> int:
    if isinstance(reports, Script):
        raise TypeError("say what a script is charged")
    return reports if isinstance(reports, int) else reports[2]


def reporting(body: Mapping[str, Any]) -> Script:
    """An answer with this body, for APIs that the upstream does not know."""
    return Script(body=body, headers=_JSON)


Booked = Counter[tuple[int, tuple[str, ...]]]
"""What was charged, by the limit's place in the policy and the values that its counter is of."""


def streaming(*events: str | Mapping[str, Any]) -> Script:
    """A stream with these data, each in a piece of its own."""
    data = [each if isinstance(each, str) else json.dumps(each) for each in events]
    return Script(headers=_SSE, chunks=tuple(Chunk(f"data: {each}\n\n".encode()) for each in data))


def per_user(quantity: int, unit: str = "Day", spec: Mapping[str, Any] | None = None, **more: Any) -> str:
    """A policy with one limit for each user; ``more`` are the limit's."""
    return text(with_spec(route(rule(limit(quantity, unit=unit, **more), headers=USERS)), **dict(spec or {})))


def play(client: Client, rows: Iterable[Row], subjects: Sequence[Subject], booked: Booked | None = None) -> Booked:
    """Send each row when the charges of those before it are booked. ``subjects``: of each limit's counter.

    ``booked`` is what was charged before, in the windows that go on.
    """
    booked = Counter() if booked is None else booked
    for number, row in enumerate(rows, start=1):
        answer = _send(client, row)
        assert answer.status == row.status, (number, answer.status, answer.body)
        _assert_told(answer, row, number)
        assert not any(row.charges[len(subjects) :]), f"row {number} charges more limits than there are"
        for place, subject in enumerate(subjects):
            booked[place, _values(client, row, subject)] += row.charges[place] if place < len(row.charges) else 0
        used = {key: client.settled(due, key[0], *key[1]) for key, due in booked.items()}
        assert used == dict(booked), number
    return booked


def _user(client: Client, row: Row) -> str:
    return f"{row.user}-{client.user}" if row.user else client.user


def _values(client: Client, row: Row, subject: Subject) -> tuple[str, ...]:
    known = {"user": _user(client, row), "model": row.model} | dict(row.headers) | dict(row.whose)
    return tuple(known.get(each, names.UNKNOWN) for each in subject)


def _send(client: Client, row: Row) -> Answer:
    content = row.body
    if not isinstance(content, bytes):
        asked = {"model": row.model, "messages": [{"role": "user", "content": "hello"}]} | dict(content)
        content = json.dumps(asked).encode()
    headers = {names.USER_HEADER: _user(client, row)} | dict(row.headers)
    return client.send(content, script=row.script, headers=headers, path=row.path)


def _assert_told(answer: Answer, row: Row, number: int) -> None:
    """What the answer says of itself; a refusal never reached the upstream, an admitted request did."""
    if row.status != REFUSED and row.status >= 400 and row.script.status == 200:
        assert answer.served is None, number
    elif row.status == REFUSED:
        if row.path == CHAT:
            assert_refused(answer, row.by)
        assert answer.served is None, number
        assert answer.headers[f"x-ratelimit-remaining-{row.by}"] == "0", number
        assert int(answer.headers["retry-after"]) > 0
    else:
        assert answer.served, number
        if row.left is not None:
            assert answer.headers[f"x-ratelimit-remaining-{row.by}"] == str(row.left), number
    assert row.says.encode() in answer.body, number
