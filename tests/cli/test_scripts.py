"""Blocks of the documents whose commands belong together, as one serves and another asks, and those that take long."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest
import redis

from llmroute.conformance.upstream import ScriptedUpstream
from llmroute.local.ports import free_ports, split_address
from llmroute.local.valkey import ValkeyProcess
from tests.cli.conftest import ROOT
from tests.cli.reader import do, running
from tests.documents import blocks_in, commands


def _shown(path: str, words: str) -> str:
    """The one shell block of a document with these words."""
    (block,) = [each for each in blocks_in((ROOT / path).read_text("utf-8"), "shell") if words in each]
    return block


BY_HAND: Final = _shown("docs/conformance.md", "--plan")
WATCHED: Final = _shown("docs/commands.md", "--watch")
RESET: Final = _shown("docs/commands.md", " reset ")
OVERSHOOT: Final = _shown("docs/overshoot.md", "e2e.overshoot")
COST: Final = _shown("docs/settle.md", "e2e.settle_cost")
UPGRADE: Final = _shown("docs/operations.md", "make translate")
BLOCKS: Final = frozenset({BY_HAND, WATCHED, RESET, OVERSHOOT, COST, UPGRADE})
"""What this file runs."""
EXAMPLE: Final = ROOT / "manifests/examples/quickstart/llmroute.yaml"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the reader is: the tool, and a policy with its Backend."""
    for name in (".venv", "e2e", "tests", "tools"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "policy.yaml").write_text(EXAMPLE.read_text("utf-8"), "utf-8")
    return tmp_path


@pytest.mark.slow
def test_a_gateway_that_is_configured_by_hand(folder: Path) -> None:
    """The suite prints the policy, a gateway serves it, the suite asks that. Free ports in the place of the page's."""
    upstream, gateway = free_ports(2)
    block = BY_HAND.replace("127.0.0.1:8080", f"127.0.0.1:{upstream}").replace("127.0.0.1:8000", f"127.0.0.1:{gateway}")
    plan, run, ask = commands(block)
    do(folder, plan)
    with running(folder, run) as (url,):
        assert url == f"http://127.0.0.1:{gateway}"
        assert "1 passed" in do(folder, ask)


@pytest.mark.slow
def test_counters_are_watched(folder: Path) -> None:
    """What the embedded service has is shown until Ctrl-C."""
    run, watch = commands(WATCHED)
    with ScriptedUpstream() as upstream:
        run = re.sub(r"127\.0\.0\.1:(8080|9000)", "127.0.0.1:0", run) + f" --upstream {upstream.url}"
        with (
            running(folder, run, lines=2) as (_, shown),
            running(folder, watch.replace("http://127.0.0.1:9000", shown)) as looks,
        ):
            assert len(looks) == 1


@pytest.mark.slow
def test_a_counter_is_reset(folder: Path) -> None:
    """The one that is named, after a yes."""
    (command,) = commands(RESET)
    with ValkeyProcess() as valkey:
        host, port = split_address(valkey.address)
        with redis.Redis(host=host, port=port, decode_responses=True) as client:
            client.mset({"default_one_1764288000": 37, "default_other_1764288000": 5})
            command = command.replace("KEY", "default_one_1764288000").replace("127.0.0.1:6379", valkey.address)
            assert "37" in do(folder, command, answer="y\n")
            assert client.mget(["default_one_1764288000", "default_other_1764288000"]) == [None, "5"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("block", "columns"), [(OVERSHOOT, "| mode | settle | promised"), (COST, "| answers | settle | median | p99")]
)
def test_what_is_measured(folder: Path, block: str, columns: str) -> None:
    """A minute each: the pages' tables come from there."""
    (command,) = commands(block)
    assert columns in do(folder, command, within=600)


def test_ci_tries_a_release_like_an_upgrade() -> None:
    """The commands that ask a newer Envoy Gateway are those that CI runs for the one that is proven."""
    ci = (ROOT / ".ci/run").read_text("utf-8")
    tools, *asked = commands(UPGRADE)
    assert tools.startswith("make tools ")
    assert [
        command for command in ("make tools", *asked) if f" {command}\n" not in ci and f" {command} #" not in ci
    ] == []
