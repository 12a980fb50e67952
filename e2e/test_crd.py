"""``llmroute schema --crd`` on a real API server: it is taken, and refuses what ``llmroute check`` refuses.

On ``--stack kind`` that is the cluster's, on ``local`` a bare one, where ``make airgap`` has built one.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

import pytest

from e2e.stacks.api_server import api_server
from e2e.stacks.kubectl import ClusterError, Kubectl, wait_until
from e2e.stacks.protocol import Unavailable
from llmroute.cli.schema import crd_text
from tests.crd_cases import BASE, REFUSED, taken

TAKEN = dict(taken())
NAME = "llmroutes.aigateway.envoyproxy.io"


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[Kubectl]:
    """An API server, by kubectl."""
    stack = request.config.getoption("--stack")
    if stack == "kind":
        yield request.getfixturevalue("stack").cluster.kubectl
        return
    if stack != "local":
        pytest.skip("the API server is the same beside every other stack: --stack local or kind")
    with contextlib.ExitStack() as running:
        try:
            kubectl = running.enter_context(api_server())
        except Unavailable as missing:
            # Not a failure with --enforce: the offline validator of tests/golden has the same cases everywhere.
            pytest.skip(f"missing capability: {missing}")
        yield kubectl


@pytest.fixture(scope="module")
def kubectl(server: Kubectl) -> Iterator[Kubectl]:
    """The same, with the CRD."""
    server("apply", "-f", "-", stdin=crd_text())
    server("wait", "--for=condition=Established", f"crd/{NAME}", "--timeout=30s")
    wait_until(lambda: "llmroutes" in server("api-resources", "--api-group=aigateway.envoyproxy.io"), lambda: NAME)
    yield server
    server("delete", "crd", NAME)


def dry_run(kubectl: Kubectl, document: object) -> str:
    """What the API server says of a document that is not to stay."""
    return kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=json.dumps(document))


def test_nothing_of_the_crd_is_ignored(kubectl: Kubectl) -> None:
    """Accepted and structural: no condition says otherwise."""
    conditions = kubectl.get("crd", NAME)["status"]["conditions"]
    assert {(c["type"], c["status"]) for c in conditions} == {("NamesAccepted", "True"), ("Established", "True")}


def test_what_is_fine_is_taken(kubectl: Kubectl) -> None:
    """All of it at once, unknown fields refused."""
    items = [{**d, "metadata": d["metadata"] | {"name": name}} for name, d in TAKEN.items()]
    said = dry_run(kubectl, {"apiVersion": "v1", "kind": "List", "items": items}).splitlines()
    assert said == [f"llmroute.aigateway.envoyproxy.io/{name} created (server dry run)" for name in TAKEN]


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_wrong_is_refused(kubectl: Kubectl, name: str) -> None:
    """With the reason of our rule, where it is one."""
    document, _, place, says = REFUSED[name]
    with pytest.raises(ClusterError) as refused:
        dry_run(kubectl, document)
    assert says in str(refused.value)
    assert place.rpartition(".")[2].partition("[")[0] in str(refused.value)


def test_it_is_stored_and_shown(kubectl: Kubectl) -> None:
    """With its gateways and backends in a table; what is stored is what came."""
    kubectl("apply", "-f", "-", stdin=json.dumps(BASE))
    assert kubectl.get("llmroutes", "route", "-n", "default")["spec"] == BASE["spec"]
    head, row = kubectl("get", "llmroutes", "-n", "default").splitlines()
    assert head.split() == ["NAME", "GATEWAYS", "BACKENDS", "AGE"]
    assert row.split()[:3] == ["route", "gateway", "llm"]
