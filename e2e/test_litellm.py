"""The suite at a real LiteLLM: what it is told it keeps, what it has no words for is skipped, and nothing is left behind."""

from __future__ import annotations

import dataclasses
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import yaml

from e2e.capability import lacking
from e2e.litellm.adapter import LiteLLM
from e2e.stacks.protocol import Unavailable
from llmroute.conformance.case import Together
from llmroute.conformance.cases import chosen
from llmroute.conformance.checks import Check
from llmroute.conformance.report.text import explained
from llmroute.conformance.runner import Outcome, run
from tests.cli.test_conformance import PROGRESS, descendants

pytestmark = pytest.mark.slow

ROOT: Final = Path(__file__).resolve().parents[1]
KEPT: Final = (
    "exact-quantity",
    "quantity-of-0",
    "last-token",
    "stream-asked",
    "KU-13",
    "global-limit",
    "LL-12",
    "NX-02",
    "LL-09",
    "NX-07",
    "held-json",
    "held-failed",
    "killed-when-used-up",
)
"""Quantities, streams, users, everybody, a model, four levels, requests, no user, holds, and Redis away."""
UNFIT: Final = {
    "KU-05": "LiteLLM counts one kind of tokens, not input, output and total",
    "WS-29": "LiteLLM has windows of one length, not minute and hour",
    "KU-15": "holds of requests at one time add up where requests are admitted while used + hold <= limit",
}


@pytest.fixture(scope="module")
def adapter(request: pytest.FixtureRequest) -> Iterator[LiteLLM]:
    """LiteLLM, started once for all."""
    try:
        made = LiteLLM()
    except Unavailable as missing:
        lacking(request.config, missing)
    with made:
        yield made


def test_what_it_keeps(adapter: LiteLLM) -> None:
    """Each refusal, each charge and each counter as the cases have them."""
    found = list(run(chosen(ids=KEPT), adapter))
    assert len(found) == len(KEPT)
    assert [line for result in found if result.outcome is not Outcome.PASSED for line in explained(result)] == []


def test_what_it_has_no_words_for(adapter: LiteLLM) -> None:
    """The reason is LiteLLM's own."""
    assert {result.case.id: result.reason for result in run(chosen(ids=UNFIT), adapter)} == UNFIT


def test_without_holds(adapter: LiteLLM) -> None:
    """A defect on purpose: told to hold nothing, it lets all of a crowd pass, which the case about holds sees."""
    del adapter  # it is installed
    (case,) = chosen(ids=["held-json"])
    (crowd,) = case.steps
    assert isinstance(crowd, Together)
    case = dataclasses.replace(case, steps=(dataclasses.replace(crowd, count=16),))
    with LiteLLM({"LITELLM_TPM_TOKEN_RESERVATION_ENABLED": "false"}) as without:
        (result,) = run([case], without)
    (played,) = result.played
    assert [check for check in played.checks if not check.ok] == [Check("admitted", "9 to 10", "16")]


def test_ctrl_c(adapter: LiteLLM, tmp_path: Path) -> None:
    """One line, a partial report, exit code 1, and no process behind."""
    del adapter  # it is installed
    report = tmp_path / "partial.yaml"
    command = [str(Path(sys.executable).with_name("llmroute")), "conformance", "--stack", "litellm"]
    process = subprocess.Popen(
        [*command, "--profile", "core", "--report", str(report)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr
        assert PROGRESS.fullmatch(process.stderr.readline())
        pids = descendants(process.pid)
        assert len(pids) >= 2, "Redis and the proxy"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 1
    assert re.search(r"^interrupted after \d+ of \d+ cases; the report has those$", said, re.MULTILINE)
    assert "Traceback" not in said
    assert yaml.safe_load(report.read_text("utf-8"))["complete"] is False
    assert not {pid for pid in pids if Path("/proc", pid).exists()}
