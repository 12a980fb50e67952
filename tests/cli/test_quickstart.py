"""``docs/quickstart.md``, on a laptop: its commands in its order, with its policy, until a request is refused."""

from __future__ import annotations

import contextlib
import re
import shlex
import signal
import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from e2e.client import wait_for
from llmroute.conformance.upstream import ScriptedUpstream
from llmroute.pipeline import compile_policies
from llmroute.targets import ENVOY_GATEWAY, capabilities
from tests.cli.conftest import ROOT
from tests.cli.test_documents import BLOCK

TEXT = (ROOT / "docs/quickstart.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """Of the part about a laptop."""
    part = TEXT.partition("## On a laptop\n")[2].partition("\n## ")[0]
    return [block for kind, block in BLOCK.findall(part) if kind == language]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the reader is: the tool, the examples, and the page's policy."""
    for name in (".venv", "manifests"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "policy.yaml").write_text(blocks("yaml")[0], encoding="utf-8")
    return tmp_path


def do(folder: Path, command: str) -> str:
    """What a command prints; it has to be fine."""
    done = subprocess.run(shlex.split(command), cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, "error" in done.stderr) == (0, False), done.stderr
    return done.stdout


@contextlib.contextmanager
def running(folder: Path, command: str) -> Iterator[tuple[str, str]]:
    """``run`` in the other terminal: its two URLs; in the end Ctrl-C, and it ends cleanly."""
    process = subprocess.Popen(
        shlex.split(command), cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout
        url, status = (process.stdout.readline().strip().partition(": ")[2] for _ in range(2))
        yield url, status
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
        assert (process.returncode, err) == (0, "")
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_until_a_request_is_refused(folder: Path) -> None:
    """A free port in the place of each that the page names; everything else as it stands there."""
    check, explain, run, ask, why, status = [line for block in blocks("shell") for line in block.splitlines()]
    assert "1 note" in do(folder, check)
    assert "refusal:   429 from 100 on" in do(folder, explain)
    with ScriptedUpstream() as upstream:
        run = re.sub(r"127\.0\.0\.1:(8080|9000)", "127.0.0.1:0", run)
        with running(folder, run.replace("http://127.0.0.1:11434", upstream.url)) as (url, shown):
            answers: list[str] = []
            while not answers or " 429 " not in answers[-1].splitlines()[0]:
                answers.append(do(folder, ask.replace("http://127.0.0.1:8080", url)))
                assert len(answers) < 100, "nothing is refused"
            served = answers[:-1]
            assert len(upstream.requests()) == len(served) > 0, "a refused request reached the model"
            assert all("x-ratelimit-remaining-tokens: " in answer for answer in served)
            used = sum(int(re.findall(r'"total_tokens": ?(\d+)', answer)[0]) for answer in served)
            why, status = (command.replace("http://127.0.0.1:9000", shown) for command in (why, status))
            line = f"     used:      {used} of 100, 0 left: refused"
            assert wait_for(lambda: line in do(folder, why).splitlines()), do(folder, why)
            assert "  now:     refused, by limit 1" in do(folder, why).splitlines()
            assert re.search(rf"x-user-id alice +{used} +100 +0 .* refused", do(folder, status))


def test_what_a_plain_envoy_needs(folder: Path) -> None:
    """Each target from an example, as it has a Backend."""
    commands = [line for block in blocks("text") for line in block.splitlines()]
    assert len(commands) == 2
    for command in commands:
        do(folder, command)
    assert {path.name for path in (folder / "out").rglob("*.yaml")} >= {"envoy.yaml", "compose.yaml"}


def test_the_policy_for_a_cluster() -> None:
    """It compiles, and what it names is in one namespace, as the text says."""
    (block,) = re.findall(r"^ +```yaml\n(.*?)^ +```$", TEXT, re.MULTILINE | re.DOTALL)
    policy = textwrap.dedent(block)
    assert compile_policies([("policy.yaml", policy)], capabilities(ENVOY_GATEWAY)).diagnostics == ()
    assert {d["metadata"]["namespace"] for d in yaml.safe_load_all(policy)} == {"models"}
