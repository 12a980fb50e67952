"""Tricks that must not get past an exhausted limit, nor open a second counter."""

from __future__ import annotations

import json

import pytest

from e2e.client import MODEL, Answer, Client, assert_refused
from e2e.conftest import Serve
from llmroute import names
from llmroute.conformance.case import placed
from llmroute.conformance.cases.isolation import NOBODY, PADS, SAME_MODEL, UNREADABLE
from tests.policies import header, limit, route, rule, text

POLICY = text(
    route(
        rule(
            limit(10, unit="Day"),
            headers=[header(names.MODEL_HEADER, "Exact", MODEL), header(names.USER_HEADER, "Distinct")],
        )
    )
)
MESSAGES = [{"role": "user", "content": "hello"}]


@pytest.fixture
def spent(serve: Serve) -> Client:
    """A user who has used up the limit."""
    client = serve(POLICY)
    assert client.chat(10).status == 200
    assert client.settled(10) == 10
    return client


@pytest.mark.parametrize("body", SAME_MODEL.values(), ids=SAME_MODEL)
def test_the_model_is_read_as_the_upstream_reads_it(spent: Client, body: bytes) -> None:
    """Whatever the JSON looks like: refused, the upstream untouched, the counter as it was."""
    assert_refused(spent.send(body, headers={names.USER_HEADER: spent.user}))
    assert spent.settled(10) == 10


@pytest.mark.parametrize("name", [names.MODEL_HEADER, names.MODEL_HEADER.upper()])
def test_the_client_cannot_name_its_model_in_the_header(spent: Client, name: str) -> None:
    """The filter overwrites the header, in any case and however often it is sent."""
    headers = [(names.USER_HEADER, spent.user), (name, "free"), (name, "freer")]
    assert_refused(spent.send(json.dumps({"model": MODEL}).encode(), headers=headers))
    assert spent.settled(10) == 10


def test_the_upstream_gets_the_model_of_the_body(serve: Serve) -> None:
    """An admitted request carries the model that was counted."""
    client = serve(POLICY)
    answer = client.chat(1, headers={names.MODEL_HEADER: "free"})
    assert answer.served
    assert answer.served.header(names.MODEL_HEADER) == MODEL
    assert client.settled(1) == 1


@pytest.mark.parametrize("value", NOBODY.values(), ids=NOBODY)
def test_without_a_user_there_is_one_user(serve: Serve, value: str | None) -> None:
    """All requests without a user share one counter; none is skipped.

    A value that is not UTF-8 cannot be told to the service at all: unchanged, it would pass every limit.
    """
    client = serve(POLICY)
    assert client.stack.used(0, names.ANONYMOUS) == 0
    body = json.dumps({"model": MODEL, "messages": MESSAGES}).encode()

    def ask() -> Answer:
        return client.send(body) if value is None else client.send_padded(body, value)

    answer = ask()
    assert (answer.status, answer.json()["usage"]["total_tokens"]) == (200, 37)
    assert client.settled(37, 0, names.ANONYMOUS) == 37
    assert_refused(ask())
    assert_refused(client.send(body))
    assert client.settled(37, 0, names.ANONYMOUS) == 37


@pytest.mark.parametrize("pad", PADS.values(), ids=PADS)
def test_spaces_around_a_user_are_no_other_user(spent: Client, pad: str) -> None:
    """``alice`` and ``alice `` are one."""
    assert_refused(spent.send_padded(json.dumps({"model": MODEL}).encode(), placed(pad, spent.user)))
    assert spent.settled(10) == 10


def test_a_user_sent_twice_is_the_first(spent: Client) -> None:
    """A second user header opens no second counter."""
    headers = [(names.USER_HEADER, spent.user), (names.USER_HEADER, "somebody-else")]
    assert_refused(spent.send(json.dumps({"model": MODEL}).encode(), headers=headers))
    assert spent.stack.used(0, f"{spent.user},somebody-else") == 0


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE)
def test_a_model_that_cannot_be_read_is_unknown(serve: Serve, body: bytes) -> None:
    """It is counted as model ``unknown``, and the upstream gets the bytes as they were."""
    unknown = text(route(rule(limit(100, unit="Day"), headers=[header(names.MODEL_HEADER, "Exact", "unknown"),
                                                               header(names.USER_HEADER, "Distinct")])))  # fmt: skip
    client = serve(unknown)
    answer = client.send(body, headers={names.USER_HEADER: client.user})
    assert answer.status == 200
    assert answer.served
    assert answer.served.body == body
    assert client.settled(37) == 37


def test_another_selected_header_is_never_left_out(serve: Serve) -> None:
    """A Distinct rule on any header counts requests without it as ``unknown``."""
    client = serve(text(route(rule(limit(10, unit="Day"), headers=[header("X-Org", "Distinct")]))))
    assert client.chat(10).status == 200
    assert client.settled(10, 0, "unknown") == 10
    assert_refused(client.chat(10))
    assert client.chat(10, headers={"x-org": client.user}).status == 200
    assert client.settled(10) == 10
