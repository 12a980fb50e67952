"""What pytest loads of us: a marker, two fixtures, and what a failed test says of its gateway.

Nothing but pytest is imported until a test asks for a gateway: every project of an environment loads this.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from llmroute.testing.gateway import Gateway

MARKER: Final = "llmroute"
_MARKER_HELP: Final = (
    "llmroute(*files): the policy that the fixture `gateway` serves; paths begin where the test's file is"
)
Serve = Callable[..., "Gateway"]
"""``serve("policy.yaml")``: the gateway of that policy; of several files, read as one."""
_LEVELS: Final = ("][error]", "][critical]")
"""Of the lines of Envoy's log that a failed test shows; the filter's own faults are errors."""
_Gateways = Callable[[tuple[Path, ...]], "Gateway"]
_USED: Final = pytest.StashKey[list["Gateway"]]()


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", _MARKER_HELP)


@pytest.fixture(scope="session")
def _llmroute_gateways() -> Iterator[_Gateways]:
    """The gateways of the session: one for each policy, started when it is first asked for."""
    with contextlib.ExitStack() as stack:
        running: dict[tuple[Path, ...], Gateway] = {}

        def started(files: tuple[Path, ...]) -> Gateway:
            from llmroute.testing.gateway import serve  # noqa: PLC0415 see above

            if files not in running:
                running[files] = stack.enter_context(serve(*files))
            return running[files]

        yield started


@pytest.fixture
def llmroute_gateway(request: pytest.FixtureRequest, _llmroute_gateways: _Gateways) -> Serve:
    """``llmroute_gateway("policy.yaml")``: the policy in force, its counters empty, at the beginning of every window.

    A path begins where the test's file is. Within a test the same files give the same gateway, as it stands. It is
    started once in a session; a policy with errors is the test's error, with what is wrong.
    """
    used: dict[tuple[Path, ...], Gateway] = {}
    shown = request.node.stash.setdefault(_USED, [])

    def serving(*files: str | os.PathLike[str]) -> Gateway:
        paths = tuple((request.path.parent / file).resolve() for file in files)
        if not paths:
            pytest.fail("llmroute_gateway() needs the file of a policy: llmroute_gateway('policy.yaml')", pytrace=False)
        if paths not in used:
            found = _served(_llmroute_gateways, paths)
            if isinstance(found, str):
                pytest.fail(found, pytrace=False)
            used[paths] = found
            shown.append(found)
        return used[paths]

    return serving


@pytest.fixture
def gateway(request: pytest.FixtureRequest, llmroute_gateway: Serve) -> Gateway:
    """The gateway of the policy that the marker names: ``@pytest.mark.llmroute("policy.yaml")``."""
    marker = request.node.get_closest_marker(MARKER)
    if marker is None or not marker.args:
        pytest.fail(
            'the fixture `gateway` needs a policy: mark the test with @pytest.mark.llmroute("policy.yaml"), '
            'or its module with pytestmark = pytest.mark.llmroute("policy.yaml")',
            pytrace=False,
        )
    return llmroute_gateway(*marker.args)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Say beside a failed test what was asked of its gateways and what has been counted."""
    report = yield
    if report.failed and report.when == "call":
        used: list[Gateway] = item.stash.get(_USED, [])
        report.sections += [(f"llmroute gateway {n}", _shown(gateway)) for n, gateway in enumerate(used, start=1)]
    return report


def _shown(gateway: Gateway) -> str:
    from llmroute.local.errors import LocalError  # noqa: PLC0415 see above

    lines = [f"{n}. {answer!r}" for n, answer in enumerate(gateway.asked, start=1)] or ["nothing was asked"]
    try:
        lines += [str(counter) for counter in gateway.counters()]
    except (LocalError, OSError) as error:
        lines.append(f"its counters cannot be read: {error}")
    lines += [line for line in gateway.logs().splitlines() if any(level in line for level in _LEVELS)]
    return "\n".join(lines)


def _served(gateways: _Gateways, files: tuple[Path, ...]) -> Gateway | str:
    """The gateway of these files, its counters empty; or what keeps it from coming up."""
    try:
        return _started(gateways, files)
    except ModuleNotFoundError as missing:
        return f"the package {missing.name} is missing: pip install 'llmroute[testing]'"


def _started(gateways: _Gateways, files: tuple[Path, ...]) -> Gateway | str:
    from llmroute.conformance.adapters.protocol import Unavailable  # noqa: PLC0415 see above
    from llmroute.local.errors import LocalError  # noqa: PLC0415
    from llmroute.testing.errors import PolicyError  # noqa: PLC0415

    try:
        gateway = gateways(files)
        gateway.reset()
    except (PolicyError, LocalError, Unavailable) as error:
        return str(error)
    return gateway
