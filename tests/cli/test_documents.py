"""Each command and each YAML block of README and docs does what the text says."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from e2e.cost.gateways import ROWS
from e2e.test_wasm_kind import BLOCKS as IN_A_CLUSTER
from llmroute.cli.app import _COMMANDS
from llmroute.local.valkey import ValkeyProcess
from llmroute.names import API_VERSION
from llmroute.pipeline import compile_policies
from llmroute.targets import ENVOY_GATEWAY, capabilities
from tests.cli.conftest import ROOT
from tests.cli.test_scripts import BLOCKS
from tests.documents import blocks as all_blocks
from tests.documents import blocks_in

DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "ARCHITECTURE.md", *ROOT.glob("docs/**/*.md")])
LINKED = [*DOCUMENTS, *sorted(ROOT.glob("*/README.md")), *sorted(ROOT.glob("*/*/README.md"))]
"""Those, and the documents of folders."""
SCRIPTS = {
    "docs/gitops.md": ["tests/cli/test_gitops.py"],
    "docs/quickstart.md": ["tests/cli/test_quickstart.py", "e2e/test_quickstart_cluster.py"],
    "manifests/README.md": ["e2e/test_first_429.py"],
}
"""Documents whose shell blocks are scripts, and who runs them; those of the others are run here."""
PROGRESS = re.compile(r"\[ *\d+/\d+\] passed: \S+\n")
"""What ``conformance`` says on standard error while it runs."""


def path_of(document: Path) -> str:
    """In the checkout."""
    return str(document.relative_to(ROOT))


def blocks(language: str) -> list[tuple[str, str]]:
    """Every block of a language, with the document's path."""
    return [(path_of(d), block) for d in DOCUMENTS for block in blocks_in(d.read_text(encoding="utf-8"), language)]


def commands() -> list[str]:
    """Every line of every shell block that is no script."""
    elsewhere = {*BLOCKS, *IN_A_CLUSTER}
    shown = [block for path, block in blocks("shell") if path not in SCRIPTS and block not in elsewhere]
    return [line for block in shown for line in block.splitlines() if line]


def test_there_is_something_to_test() -> None:
    """The patterns above find the blocks."""
    assert len(blocks("yaml")) >= 1
    assert {"make demo", "make test"} <= set(commands())


@pytest.mark.parametrize(("name", "block"), [b for b in blocks("yaml") if b[0] != "docs/gitops.md"])
def test_every_policy_compiles(name: str, block: str) -> None:
    """Without a finding."""
    assert compile_policies([(name, block)], capabilities(ENVOY_GATEWAY)).diagnostics == ()


def test_the_readme_policy_has_twelve_lines() -> None:
    """The promise: one short policy."""
    (_, policy), *_ = blocks("yaml")
    assert len(policy.splitlines()) == 12
    assert yaml.safe_load(policy)["kind"] == "LLMRoute"


def test_make_demo() -> None:
    """It ends with a refusal."""
    done = subprocess.run(["make", "demo"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "429 refused" in done.stdout


def test_make_test_is_this_suite() -> None:
    """``make test`` runs pytest over everything; that it passes is what you are reading."""
    done = subprocess.run(["make", "-n", "test"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "-m pytest" in done.stdout


@pytest.mark.slow
def test_make_bench_filter() -> None:
    """It measures the Lua and the Envoy."""
    command = ["make", "bench-filter", "QUICK=1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    names = {line.partition("  ")[0] for line in done.stdout.splitlines()}
    assert {"request, chat of 78 bytes", "kept of a 50 MB stream", "Envoy, the same to plain proxying"} <= names


@pytest.mark.slow
def test_make_bench() -> None:
    """It measures every gateway, LiteLLM too, and says what is aimed at."""
    command = ["make", "bench", "QUICK=1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    assert "## Goals" in done.stdout
    assert {f"| {row.name} | {row.title} |" for row in ROWS} <= set(done.stdout.splitlines())


@pytest.fixture(scope="module")
def redis_address() -> Iterator[str]:
    """Of a Valkey, for the one that commands are shown with."""
    with ValkeyProcess() as valkey:
        yield valkey.address


LONG = "--profile core"
"""What a command says that takes half a minute: ``make check-documents`` runs it."""


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(c, marks=[pytest.mark.slow] if LONG in c else [])
        for c in commands()
        if c.startswith(".venv/bin/llmroute")
    ],
)
def test_the_commands_of_the_documents(command: str, tmp_path: Path, redis_address: str) -> None:
    """Run as they stand, on the README's policy with its Backend, which is the older one, too."""
    backend = (
        "---\napiVersion: gateway.envoyproxy.io/v1alpha1\nkind: Backend\nmetadata: {name: openai, namespace: default}\n"
    )
    backend += "spec: {endpoints: [{fqdn: {hostname: llm.example.com, port: 80}}]}\n"
    for name in ("policy.yaml", "old.yaml"):
        (tmp_path / name).write_text(blocks("yaml")[0][1] + backend, encoding="utf-8")
    arguments = command.replace("127.0.0.1:6379", redis_address).split()
    process = subprocess.Popen(
        [str(ROOT / arguments[0]), *arguments[1:]],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        if arguments[1] == "run":
            assert process.stdout
            assert process.stdout.readline().startswith("ready: http://127.0.0.1:")
            process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
        assert (process.returncode, PROGRESS.sub("", err)) == (0, "")
    finally:
        process.kill()
        process.communicate()


def test_only_known_commands_are_shown() -> None:
    """A shell block holds nothing that the tests above do not run."""
    known = {
        "make demo",
        "make test",
        "make bench-filter QUICK=1",
        "make bench QUICK=1",
        *(f".venv/bin/llmroute {c}" for c in _COMMANDS),
    }
    assert [c for c in commands() if not any(c == k or c.startswith(f"{k} ") for k in known)] == []


def test_somebody_runs_each_shell_block() -> None:
    """Those of a document that has its own tests are taken from it by them; the tests above run all others."""
    shown = {path_of(d) for d in LINKED if blocks_in(d.read_text(encoding="utf-8"), "shell")}
    assert set(SCRIPTS) <= shown <= {path_of(d) for d in DOCUMENTS} | set(SCRIPTS)
    for path, tests in SCRIPTS.items():
        assert [test for test in tests if path not in (ROOT / test).read_text(encoding="utf-8")] == []


@pytest.mark.parametrize("document", LINKED, ids=path_of)
def test_no_command_hides_in_another_block(document: Path) -> None:
    """Each is in a ``shell`` block, so that tests see it."""
    others = [block for language, block in all_blocks(document.read_text(encoding="utf-8")) if language == "text"]
    lines = [line.strip() for block in others for line in block.splitlines()]
    assert [line for line in lines if re.match(r"(make|kubectl|helm|llmroute|python|\.venv/\S+) ", line)] == []


@pytest.mark.parametrize("document", LINKED, ids=path_of)
def test_links_lead_somewhere(document: Path) -> None:
    """Every relative link names a file that is there; so does every path in backticks with a slash."""
    text = document.read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#:]+)\)", text)
    paths = [p for p in re.findall(r"`([\w.-]+/[\w./-]*)`", text) if "<" not in p and p != API_VERSION]
    missing = [t for t in targets if not (document.parent / t).exists()]
    roots = (ROOT, ROOT / "generator/llmroute", document.parent)
    missing += [p for p in paths if not any((root / p).exists() for root in roots)]
    assert missing == []


def test_make_help_names_every_target() -> None:
    """The Makefile documents itself."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    public = set(re.findall(r"^([a-z-]+):.*## ", text, re.MULTILINE))
    assert {line.split()[1] for line in done.stdout.splitlines() if line.startswith("  make ")} == public
