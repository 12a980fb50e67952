"""Fixtures of the e2e suites."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from e2e.client import Client
from e2e.stacks import STACKS, Stack, Unavailable

EXAMPLES = Path(__file__).parent.parent / "manifests" / "examples"


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """The stack of the session."""
    name = request.config.getoption("--stack")
    if name not in STACKS:
        pytest.fail(f"--stack {name}: there are {', '.join(STACKS)}")
    try:
        running = STACKS[name]()
    except Unavailable as missing:
        if request.config.getoption("--enforce"):
            pytest.fail(f"missing capability: {missing}")
        pytest.skip(f"missing capability: {missing}")
    with running:
        yield running


Serve = Callable[[str], Client]


@pytest.fixture
def serve(stack: Stack) -> Iterator[Serve]:
    """``serve(policy)``: the policy in force, and a client with a fresh user."""
    clients: list[Client] = []

    def apply(policy: str) -> Client:
        stack.apply(policy)
        clients.append(Client(stack))
        return clients[-1]

    yield apply
    for client in clients:
        client.close()


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
