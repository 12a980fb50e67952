"""The case of other gateways about headers that are to vanish on their way, which a proxy may do or not.

Cases with one outcome are the suite's; ``docs/cases.md`` lists all.
"""

from __future__ import annotations

import http.client
import json
from typing import Final
from urllib.parse import urlsplit

import pytest

from e2e.client import CHAT, MODEL, WITHIN, Client, wait_for
from e2e.conftest import Serve
from llmroute import names
from llmroute.conformance.policies import USERS
from tests.policies import header, limit, route, rule, text

BODY: Final = json.dumps({"model": MODEL, "messages": []}).encode()
OF_MODEL: Final = [header(names.MODEL_HEADER, "Exact", MODEL)]


def nominating(client: Client, *nominated: str) -> int:
    """Status of a request that says that these headers are for the next hop alone."""
    connection = http.client.HTTPConnection(urlsplit(client.stack.url).netloc, timeout=WITHIN)
    headers = {"content-type": "application/json", names.USER_HEADER: client.user, names.MODEL_HEADER: "free"}
    try:
        connection.request("POST", CHAT, BODY, headers | {"connection": ", ".join(nominated)})
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


@pytest.mark.parametrize("nominated", [names.USER_HEADER, names.MODEL_HEADER, names.BACKEND_HEADER], ids=str)
def test_px06(serve: Serve, nominated: str) -> None:
    """PX-06: a client that nominates a header of ours in ``Connection`` is counted all the same, and no more is served.

    Whether the proxy takes the header out or not, somebody is charged for each answer: the user, or who has none.
    """
    client = serve(text(route(rule(limit(37, unit="Day"), headers=[*OF_MODEL, *USERS]))))

    def counted() -> int:
        return sum(client.stack.used(0, user) for user in (client.user, names.ANONYMOUS))

    statuses = [nominating(client, nominated, "keep-alive")]
    served = statuses.count(200)
    assert wait_for(lambda: counted() == 37 * served)
    statuses.append(nominating(client, nominated, "keep-alive"))
    assert statuses in ([200, 429], [400, 400]), statuses
    assert counted() == 37 * served
