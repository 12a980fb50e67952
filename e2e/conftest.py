"""Fixtures of the e2e suites."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from e2e.capability import lacking, only_on
from e2e.client import Client
from e2e.stacks import STACKS, Stack, Unavailable
from e2e.stacks.local import LocalStack
from e2e.stacks.protocol import Breakable, charges_alone
from e2e.suite import RunCase, runner
from e2e.terminal import Terminal, reader
from llmroute.conformance.windows import wait_until_clear
from llmroute.pipeline import compile_policies
from llmroute.plan import Unit
from llmroute.targets import ENVOY_GATEWAY, capabilities

if TYPE_CHECKING:
    from e2e.stacks.kind import KindStack  # needs more than the other stacks

EXAMPLES = Path(__file__).parent.parent / "manifests" / "examples"


RECORDS = pytest.StashKey[dict[str, list[dict[str, Any]]]]()
"""What each test saw, by its id."""


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the records (``--record``, without xdist)."""
    file = session.config.getoption("--record")
    if file:
        records = session.config.stash.get(RECORDS, {})
        Path(file).write_text(json.dumps(records, indent=1, sort_keys=True), encoding="utf-8")


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """The stack of the session."""
    name = request.config.getoption("--stack")
    if name not in STACKS:
        pytest.fail(f"--stack {name}: there are {', '.join(STACKS)}")
    try:
        running = STACKS[name]()
    except Unavailable as missing:
        lacking(request.config, missing)
    with running:
        yield running


@pytest.fixture(scope="session")
def kind(request: pytest.FixtureRequest) -> KindStack:
    """The stack, where it is a cluster."""
    stack: KindStack = only_on(request, "kind", "a cluster")
    return stack


@pytest.fixture
def terminal(kind: KindStack, tmp_path: Path) -> Iterator[Terminal]:
    """A reader's, on a cluster that is the reader's until the end; no policy is in force."""
    kind.withdraw()
    kind.disconnect()
    with kind.cluster.in_other_hands(), reader(kind.cluster, tmp_path) as opened:
        yield opened
    kind.disconnect()


@pytest.fixture
def matching(stack: Stack) -> Stack:
    """The stack, where whoever charges answers can tell whether a regular expression matches."""
    if charges_alone(stack):
        pytest.skip("missing capability: a proxy that charges what the filter cannot (LR063)")
    return stack


@pytest.fixture
def refunding(stack: Stack) -> LocalStack:
    """The stack whose rate limit service takes refunds. Its time stands still until a test moves it."""
    if not isinstance(stack, LocalStack):
        pytest.skip("missing capability: a rate limit service that takes refunds (--stack local has one)")
    return stack


Serve = Callable[[str], Client]


def _units(policy: str) -> set[Unit]:
    """Which windows a policy counts in."""
    plan = compile_policies([("policy.yaml", policy)], capabilities(ENVOY_GATEWAY)).plan
    return {limit.unit for route in plan.routes for _, limit in route.limits()}


@pytest.fixture
def serve(stack: Stack, request: pytest.FixtureRequest) -> Iterator[Serve]:
    """``serve(policy)``: the policy in force, none of its windows about to end, and a client with a fresh user."""
    clients: list[Client] = []

    def apply(policy: str) -> Client:
        stack.apply(policy)
        if not isinstance(stack, LocalStack):  # its clock stands still
            wait_until_clear(_units(policy))
        clients.append(Client(stack))
        return clients[-1]

    yield apply
    for client in clients:
        client.close()
    recorded = [observation for client in clients for observation in client.observations]
    request.config.stash.setdefault(RECORDS, {})[request.node.nodeid] = recorded


@pytest.fixture
def breakable(stack: Stack) -> Iterator[Breakable]:
    """The stack, where a test can take its service away."""
    if not isinstance(stack, Breakable):
        pytest.skip("missing capability: a rate limit service that a test can kill")
    yield stack
    stack.fail_closed = True


@pytest.fixture
def run_case(stack: Stack, request: pytest.FixtureRequest) -> RunCase:
    """``run_case(case)``: a case of the conformance suite at the stack."""
    return runner(stack, request.config)


@pytest.fixture
def example(serve: Serve) -> Callable[[str], Client]:
    """``example(name)``: an example of ``manifests/examples`` in force."""
    return lambda name: serve((EXAMPLES / name / "llmroute.yaml").read_text(encoding="utf-8"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Show the stack's logs with a failed test, and only then."""
    report = yield
    if report.failed and "stack" in getattr(item, "funcargs", {}):  # type: ignore[attr-defined]
        report.sections.append(("stack", item.funcargs["stack"].logs()))  # type: ignore[attr-defined]
    return report
