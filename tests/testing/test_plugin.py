"""The pytest plugin in projects of others: the document's tests, the example's, none at all, and tests that fail."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.documents import blocks_in

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "manifests" / "examples" / "policy-tests"
DOCUMENT = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
POLICY = blocks_in(DOCUMENT, "yaml")[0]


def run_pytest(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """As a user does, with warnings as errors and no marker but known ones."""
    command = [sys.executable, "-W", "error", "-m", "pytest", "-p", "no:cacheprovider", "--strict-markers", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.slow
def test_the_tests_of_the_document(tmp_path: Path) -> None:
    """Each block is a test file beside the policy; the first has five lines, as the text says."""
    tests = blocks_in(DOCUMENT, "python")
    assert len([line for line in tests[0].splitlines() if line]) == 5
    (tmp_path / "policy.yaml").write_text(POLICY, encoding="utf-8")
    for number, block in enumerate(tests):
        (tmp_path / f"test_{number}.py").write_text(block, encoding="utf-8")
    done = run_pytest(tmp_path, "-q")
    assert done.returncode == 0, done.stdout
    assert f"{len(tests)} passed" in done.stdout


@pytest.mark.slow
def test_the_example(tmp_path: Path) -> None:
    """Copied out of the repository, its tests pass."""
    shutil.copytree(EXAMPLE, tmp_path / "mine")
    done = run_pytest(tmp_path / "mine", "-q")
    assert done.returncode == 0, done.stdout
    assert "6 passed" in done.stdout


MISTAKES = {
    "one-more": ("quantity: 5000", "quantity: 5001"),
    "a-day": ("unit: Hour", "unit: Day"),
    "another-model": ("value: gpt-4o", "value: gpt-5"),
}
"""In the example's policy: what takes the place of what."""


@pytest.mark.slow
def test_the_example_finds_mistakes(tmp_path: Path) -> None:
    """Policies that mean another thing fail its tests, each of them."""
    text = (EXAMPLE / "llmroute.yaml").read_text(encoding="utf-8")
    for name, (old, new) in MISTAKES.items():
        shutil.copytree(EXAMPLE, tmp_path / name)
        assert old in text
        (tmp_path / name / "llmroute.yaml").write_text(text.replace(old, new), encoding="utf-8")
    done = run_pytest(tmp_path, "-q", "--import-mode=importlib")
    assert done.returncode == 1, done.stdout
    failed = re.findall(r"^FAILED ([\w-]+)/test_policy\.py", done.stdout, re.MULTILINE)
    assert set(failed) == set(MISTAKES)
    assert len(failed) < 6 * len(MISTAKES), "not all is wrong with any of them"


def test_who_does_not_use_it_pays_nothing(tmp_path: Path) -> None:
    """It is loaded, and nothing of ours but the plugin is."""
    (tmp_path / "test_it.py").write_text(
        "import sys\n"
        "def test_it(pytestconfig):\n"
        "    assert pytestconfig.pluginmanager.has_plugin('llmroute')\n"
        "    ours = {name for name in sys.modules if name.partition('.')[0] == 'llmroute'}\n"
        "    assert ours == {'llmroute', 'llmroute.testing', 'llmroute.testing.plugin'}\n"
        "    assert not {'grpc', 'aiohttp', 'pydantic', 'yaml'} & set(sys.modules)\n",
        encoding="utf-8",
    )
    done = run_pytest(tmp_path, "-q")
    assert done.returncode == 0, done.stdout


def test_gateways_are_shared_and_begin_anew(tmp_path: Path) -> None:
    """Two tests of one policy have one gateway, and the second finds nothing of the first."""
    (tmp_path / "policy.yaml").write_text(POLICY, encoding="utf-8")
    (tmp_path / "test_it.py").write_text(
        "import pytest\n"
        "urls = set()\n"
        "@pytest.mark.llmroute('policy.yaml')\n"
        "@pytest.mark.parametrize('n', [1, 2])\n"
        "def test_it(n, gateway, llmroute_gateway):\n"
        "    assert (gateway.counters(), gateway.clock.now.second) == ((), 0)\n"
        "    gateway.ask(user='alice', tokens=40)\n"
        "    gateway.clock.advance(seconds=7)\n"
        "    assert llmroute_gateway('./policy.yaml') is gateway\n"
        "    assert gateway.used(user='alice') == 40\n"
        "    urls.add(gateway.url)\n"
        "    assert len(urls) == 1\n",
        encoding="utf-8",
    )
    done = run_pytest(tmp_path, "-q")
    assert done.returncode == 0, done.stdout


def test_without_the_extra(tmp_path: Path) -> None:
    """What is missing is named with its remedy, whether a test imports it or asks for a gateway."""
    (tmp_path / "policy.yaml").write_text(POLICY, encoding="utf-8")
    (tmp_path / "conftest.py").write_text("import sys\nsys.modules['aiohttp'] = None\n", encoding="utf-8")
    (tmp_path / "test_it.py").write_text(
        "import pytest\n"
        "def test_import():\n"
        "    with pytest.raises(ModuleNotFoundError) as missing:\n"
        "        from llmroute.testing import Gateway\n"
        "    assert str(missing.value) == \"llmroute.testing needs the package aiohttp: pip install 'llmroute[testing]'\"\n"
        "@pytest.mark.llmroute('policy.yaml')\n"
        "def test_gateway(gateway):\n"
        "    pass\n",
        encoding="utf-8",
    )
    done = run_pytest(tmp_path)
    assert "1 passed, 1 error" in done.stdout, done.stdout
    assert "the package aiohttp is missing: pip install 'llmroute[testing]'\n" in done.stdout


FAILING = """
import pytest

def test_no_marker(gateway):
    pass

@pytest.mark.llmroute("none.yaml")
def test_no_file(gateway):
    pass

@pytest.mark.llmroute("bad.yaml")
def test_bad(gateway):
    pass

def test_no_name(llmroute_gateway):
    llmroute_gateway()

@pytest.mark.llmroute("policy.yaml")
def test_not_so(gateway):
    gateway.ask(user="alice", tokens=99)
    assert gateway.ask(user="alice", tokens=7).refused
"""


def test_failures(tmp_path: Path) -> None:
    """An error names its place and remedy, without a traceback of ours; a failure says what was asked and counted."""
    (tmp_path / "policy.yaml").write_text(POLICY, encoding="utf-8")
    (tmp_path / "bad.yaml").write_text(POLICY.replace("100", "-1").replace("Minute", "Fortnight"), encoding="utf-8")
    (tmp_path / "test_it.py").write_text(FAILING, encoding="utf-8")
    done = run_pytest(tmp_path)
    assert done.returncode == 1
    said = done.stdout
    assert "2 failed, 3 errors" in said
    assert "Traceback" not in said
    assert "plugin.py" not in said
    assert 'the fixture `gateway` needs a policy: mark the test with @pytest.mark.llmroute("policy.yaml")' in said
    assert f"{tmp_path}/none.yaml: No such file or directory\n" in said
    # With CI in the environment pytest says them in its summary, too.
    assert len(set(re.findall(r"^bad\.yaml:\d+:\d+: error LR\d+: ", said, re.MULTILINE))) == 2
    assert "llmroute_gateway() needs the file of a policy: llmroute_gateway('policy.yaml')" in said
    shown = (
        "1. <alice asks gpt-4o-mini -> 200 admitted, remaining 100, charged 99 to limit 1>\n"
        "2. <alice asks gpt-4o-mini -> 200 admitted, remaining 1, charged 7 to limit 1>\n"
        "limit 1 (100 tokens per minute) of alice: 106 used\n"
    )
    assert shown in said
