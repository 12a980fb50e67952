"""Which of its contexts the module takes for a route, however many there are."""

from __future__ import annotations

import json

import pytest

from llmroute.names import MODEL_HEADER
from llmroute.render.lua import JSON
from llmroute.render.wasm import filter_module
from tests.filters import wasm_host as host

REQUEST = 0


@pytest.fixture(scope="module")
def machine() -> host.Machine:
    """The module, for all policies here."""
    return host.Machine(filter_module())


def named(number: int, routes: list[str] | None) -> JSON:
    """A context that puts the model into a header with its number in the name; of these routes, or of every one."""
    told: dict[str, JSON] = {"context": {"modelHeader": f"x-model-{number}"}}
    return told if routes is None else told | {"routes": [*routes]}


def taken(machine: host.Machine, contexts: list[JSON], route: str | None) -> str:
    """The header in which a request of the route has its model."""
    plugin = machine.plugin(json.dumps({"contexts": contexts}))
    stream, exchange = machine.open(plugin)
    exchange.route = route
    exchange.headers[REQUEST] = [(":method", "POST"), (":path", "/v1/chat/completions")]
    assert machine.headers(stream, REQUEST, end=True) == host.CONTINUE
    (found,) = [name for name, value in exchange.headers[REQUEST] if value == "unknown"]
    machine.close(stream)
    return found


def test_each_of_many_routes_has_its_own(machine: host.Machine) -> None:
    """Two for each of 1,000 contexts, and one that none has."""
    contexts = [named(i, [f"default/route-{i}/a", f"default/route-{i}/b"]) for i in range(1000)]
    for i in (0, 1, 499, 998, 999):
        assert taken(machine, contexts, f"default/route-{i}/a") == f"x-model-{i}"
        assert taken(machine, contexts, f"default/route-{i}/b") == f"x-model-{i}"
    for other in ("default/route-1000/a", "default/route-1/", "default/route-1/aa", "", None):
        assert taken(machine, contexts, other) == MODEL_HEADER


@pytest.mark.parametrize(
    ("contexts", "route", "number"),
    [
        ([named(1, ["a"]), named(2, ["a", "b"])], "a", 1),
        ([named(1, ["a"]), named(2, ["a", "b"])], "b", 2),
        ([named(1, ["a", "a"]), named(2, [])], "a", 1),
        ([named(1, ["a"]), named(2, None), named(3, ["b"])], "a", 1),
        ([named(1, ["a"]), named(2, None), named(3, ["b"])], "b", 2),
        ([named(1, None), named(2, None)], "a", 1),
        ([named(1, []), named(2, None)], "a", 2),
    ],
)
def test_the_first_that_is_the_routes(machine: host.Machine, contexts: list[JSON], route: str, number: int) -> None:
    """Of several, and one of every route is each route's."""
    assert taken(machine, contexts, route) == f"x-model-{number}"


@pytest.mark.parametrize("contexts", [[], [named(1, [])]])
def test_no_routes_at_all(machine: host.Machine, contexts: list[JSON]) -> None:
    """The defaults are everybody's."""
    assert taken(machine, contexts, "a") == MODEL_HEADER
