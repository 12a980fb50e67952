"""``docs/quickstart.md``, on a laptop: its commands in its order, with its policy, until a request is refused.

``e2e/test_quickstart_cluster.py`` has the part about a cluster.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from e2e.client import wait_for
from llmroute.conformance.upstream import ScriptedUpstream
from tests.cli.conftest import ROOT
from tests.cli.reader import do, running
from tests.documents import blocks_in, commands, section

TEXT = (ROOT / "docs/quickstart.md").read_text(encoding="utf-8")
LAPTOP = section(TEXT, "On a laptop")
(POLICY,) = blocks_in(LAPTOP, "yaml")
(CHECK, EXPLAIN), (RUN,), (ASK,), (WHY, STATUS), PLAIN = (commands(block) for block in blocks_in(LAPTOP, "shell"))
"""All that the part shows: a command that no test runs fails here."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the reader is: the tool, the examples, and the page's policy."""
    for name in (".venv", "manifests"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "policy.yaml").write_text(POLICY, encoding="utf-8")
    return tmp_path


@pytest.mark.slow
def test_until_a_request_is_refused(folder: Path) -> None:
    """A free port in the place of each that the page names; everything else as it stands there."""
    assert "1 note" in do(folder, CHECK)
    assert "refusal:   429 from 100 on" in do(folder, EXPLAIN)
    with ScriptedUpstream() as upstream:
        run = re.sub(r"127\.0\.0\.1:(8080|9000)", "127.0.0.1:0", RUN)
        with running(folder, run.replace("http://127.0.0.1:11434", upstream.url), lines=2) as (url, shown):
            answers: list[str] = []
            while not answers or " 429 " not in answers[-1].splitlines()[0]:
                answers.append(do(folder, ASK.replace("http://127.0.0.1:8080", url)))
                assert len(answers) < 100, "nothing is refused"
            served = answers[:-1]
            assert len(upstream.requests()) == len(served) > 0, "a refused request reached the model"
            assert all("x-ratelimit-remaining-tokens: " in answer for answer in served)
            used = sum(int(re.findall(r'"total_tokens": ?(\d+)', answer)[0]) for answer in served)
            why, status = (command.replace("http://127.0.0.1:9000", shown) for command in (WHY, STATUS))
            line = f"     used:      {used} of 100, 0 left: refused"
            assert wait_for(lambda: line in do(folder, why).splitlines()), do(folder, why)
            assert "  now:     refused, by limit 1" in do(folder, why).splitlines()
            assert re.search(rf"x-user-id alice +{used} +100 +0 .* refused", do(folder, status))


def test_what_a_plain_envoy_needs(folder: Path) -> None:
    """Each target from an example, as it has a Backend."""
    assert len(PLAIN) == 2
    for command in PLAIN:
        do(folder, command)
    assert {path.name for path in (folder / "out").rglob("*.yaml")} >= {"envoy.yaml", "compose.yaml"}


def test_the_policy_for_a_cluster() -> None:
    """What it names is in one namespace, as the text says."""
    (policy,) = blocks_in(section(TEXT, "On a cluster that is there already"), "yaml")
    assert {d["metadata"]["namespace"] for d in yaml.safe_load_all(policy)} == {"models"}
