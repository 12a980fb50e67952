"""How a gateway is found, and what is printed for one that is configured by hand."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import yaml

from llmroute import __version__
from llmroute.conformance.adapters.by_hand import ByHand, policy_id
from llmroute.conformance.adapters.find import FOREIGN, REPOSITORY, adapter
from llmroute.conformance.adapters.protocol import Unavailable
from llmroute.conformance.cases import all_cases, chosen
from llmroute.conformance.features import Admission, Feature
from llmroute.conformance.plan_page import plan
from llmroute.diagnostic import has_errors
from llmroute.pipeline import compile_policies
from llmroute.plan import Endpoint
from llmroute.targets import ENVOY_GATEWAY, capabilities
from tools.pins import pins

UPSTREAM = Endpoint("192.0.2.7", 8080)


def test_local() -> None:
    """It is in the package, and can do all there is."""
    found = adapter("local", Path("/"))
    assert (found.name, found.admission) == ("local", Admission.BELOW)
    assert found.features | {Feature.SDKS} == set(Feature)
    assert found.version == f"llmroute {__version__}, Envoy {pins()['ENVOY']}"


@pytest.mark.parametrize("name", [*REPOSITORY, *FOREIGN])
def test_stacks_of_the_repository_are_not_in_the_package(name: str, tmp_path: Path) -> None:
    """Elsewhere it is said where they are."""
    with pytest.raises(Unavailable, match=f"--stack {name} is in llmroute's repository, not in the package: run this"):
        adapter(name, tmp_path)


def test_an_adapter_of_ones_own(tmp_path: Path) -> None:
    """A module of the folder, by name; what is wrong with the name is said."""
    (tmp_path / "my_conformance_gateway.py").write_text("def make():\n    return 'the adapter'\n", encoding="utf-8")
    made: object = adapter("my_conformance_gateway:make", tmp_path)
    assert made == "the adapter"
    with pytest.raises(Unavailable, match="the module has no other"):
        adapter("my_conformance_gateway:other", tmp_path)
    with pytest.raises(Unavailable, match="no module not_there_at_all, here or installed"):
        adapter("not_there_at_all:make", tmp_path)


def test_an_unknown_name(tmp_path: Path) -> None:
    """It says which there are."""
    with pytest.raises(
        Unavailable, match="there is no stack moon; there are local, process, standalone, standalone-wasm, docker, kind"
    ):
        adapter("moon", tmp_path)


def test_an_address_of_the_upstream_that_is_taken() -> None:
    """It says so before any case runs."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = Endpoint("127.0.0.1", taken.getsockname()[1])
        by_hand = ByHand("http://127.0.0.1:1", address, frozenset())
        with pytest.raises(Unavailable, match=f"the upstream cannot listen on {address}: "):
            by_hand.__enter__()


def test_the_plan() -> None:
    """Each policy once, compiled without errors, with its backends at the upstream, its id, its cases, their needs."""
    cases = all_cases()
    text = plan(cases, UPSTREAM, Admission.BELOW)
    compiled = compile_policies([("plan.yaml", text)], capabilities(ENVOY_GATEWAY))
    named = [d for d in compiled.diagnostics if has_errors([d])]
    assert named == []
    assert {e for route in compiled.plan.routes for b in route.backends for e in b.endpoints} == {UPSTREAM}
    ids = {policy_id(case.policy) for case in cases}
    assert all(
        route.name.startswith(f"{gateway.name}-") for route in compiled.plan.routes for gateway in route.gateways
    )
    assert {route.name.split("-")[0] for route in compiled.plan.routes} == ids
    for name in ids:
        assert f"# Policy {name}\n" in text
    (quickstart,) = chosen(ids=["quickstart"])
    mine = text[text.index(policy_id(quickstart.policy)) :].partition("---")[0]
    assert "\n# of the cases quickstart\n# needs: of-models\n" in mine


def test_the_plan_for_the_other_rule() -> None:
    """Quantities are one less, and the ids are those of the policies that are printed."""
    case = chosen(ids=["exact-quantity"])
    documents = list(yaml.safe_load_all(plan(case, UPSTREAM, Admission.UP_TO)))
    (route,) = [document for document in documents if document["kind"] == "LLMRoute"]
    (rule,) = route["spec"]["backends"][0]["trafficPolicy"]["rateLimit"]["rules"]
    assert rule["limits"][0]["quantity"] == 9
    assert not route["metadata"]["name"].startswith(policy_id(case[0].policy))


def test_a_plan_for_a_host_by_name() -> None:
    """A name is no address."""
    (backend, _) = yaml.safe_load_all(plan(chosen(ids=["exact-quantity"]), Endpoint("fake", 80), Admission.BELOW))
    assert backend["spec"]["endpoints"] == [{"fqdn": {"hostname": "fake", "port": 80}}]
