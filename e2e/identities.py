"""What tests of identity have in common: requests without a user of the client's own, and who was seen instead."""

from __future__ import annotations

import json
import uuid
from typing import Final

from e2e.client import CHAT, Answer, Client
from llmroute import names
from tests.policies import header

USERS: Final = [header(names.USER_HEADER, "Distinct")]
BODY: Final = json.dumps({"model": "m", "messages": []}).encode()


def fresh(name: str) -> str:
    """A user whom nobody else is."""
    return f"{name}-{uuid.uuid4().hex[:12]}"


def bearer(token: str) -> tuple[str, str]:
    """The header of a token."""
    return "authorization", f"Bearer {token}"


def ask(client: Client, *headers: tuple[str, str], path: str = CHAT) -> Answer:
    """A request with these headers and none of a user's own; its answer costs 37 tokens."""
    return client.send(BODY, headers=list(headers), path=path)


def users_seen(answer: Answer) -> list[str]:
    """Every value of the user's header that reached the upstream."""
    assert answer.served
    return [value for name, value in answer.served.headers if name.lower() == names.USER_HEADER]


def assert_unidentified(answer: Answer) -> None:
    """A 401, and the upstream never saw the request."""
    assert (answer.status, answer.served) == (401, None), answer.body
