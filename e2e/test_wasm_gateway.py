"""The module on Envoy Gateway, what is particular to it. The cases run there as everywhere: ``STACK=standalone-wasm``."""

from __future__ import annotations

from typing import Final

import pytest

from e2e.capability import only_on
from e2e.client import assert_refused
from e2e.conftest import Serve
from e2e.stacks.standalone import StandaloneStack
from llmroute import names
from tests.policies import header, limit, route, rule, text

USERS: Final = [header(names.USER_HEADER, "Distinct")]


@pytest.fixture
def standalone(request: pytest.FixtureRequest) -> StandaloneStack:
    """Envoy Gateway with the module, on this machine."""
    stack: StandaloneStack = only_on(request, "standalone-wasm", "an Envoy Gateway that gets the module")
    return stack


def test_it_takes_the_image_from_a_registry(standalone: StandaloneStack, serve: Serve) -> None:
    """The layout that ``wasm export --oci`` writes, under its digest, by Envoy Gateway's own fetcher."""
    standalone.by_image = True
    try:
        client = serve(text(route(rule(limit(31, unit="Day"), headers=USERS))))
        assert client.chat(31).status == 200
        assert client.settled(31) == 31
        assert_refused(client.chat(5))
        assert client.settled(31) == 31
    finally:
        standalone.by_image = False
