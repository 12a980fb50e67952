"""``conformance`` on the installed wheel: its exit codes, its reports, a gateway by hand, and Ctrl-C."""

from __future__ import annotations

import re
import signal
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from llmroute.conformance.cases import all_cases
from llmroute.local.ports import free_port
from tests.cli.conftest import ROOT, Run
from tests.cli.test_run import running

pytestmark = pytest.mark.slow

PROGRESS: Final = re.compile(r"\[ *\d+/\d+\] (passed|failed): [a-z-]+/\S+\n")
UNCHECKED: Final = '''
import yaml

from llmroute.conformance.adapters.local import LocalStack
from llmroute.conformance.adapters.stack import StackAdapter


def unchecked(bootstrap):
    """Take out every check of a limit before a request."""
    def without(value):
        if isinstance(value, dict):
            return {k: [each for each in v if each.get("hits_addend") != {"number": 0}] if k == "rate_limits" else without(v)
                    for k, v in value.items()}
        return [without(each) for each in value] if isinstance(value, list) else value
    return yaml.safe_dump(without(yaml.safe_load(bootstrap)))


def adapter():
    return StackAdapter("unchecked", LocalStack(unchecked))
'''


def report(path: Path) -> Any:
    """A report as plain values."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def descendants(pid: int) -> set[str]:
    """The processes that a process has started, and those that they have."""
    folder = Path("/proc", str(pid), "task")
    mine = {child for task in folder.iterdir() for child in (task / "children").read_text("ascii").split()}
    return mine.union(*(descendants(int(child)) for child in mine))


def test_a_gateway_that_keeps_its_word(llmroute: Run, tmp_path: Path) -> None:
    """Exit code 0, progress apart from the summary, and a report in each format by the names of the files."""
    files = ["report.yaml", "report.html", "report.xml", "report.txt"]
    done = llmroute(
        "conformance", "--case", "quickstart", "--case", "KU-13", *(a for f in files for a in ("--report", f))
    )
    assert done.returncode == 0, done.stderr
    assert PROGRESS.sub("", done.stderr) == ""
    assert "core  2 passed, 0 failed, 0 skipped" in done.stdout
    starts = ["apiVersion: conformance", "<!DOCTYPE html>", "<?xml ", "local (llmroute "]
    assert [
        (tmp_path / file).read_text("utf-8")[: len(start)] for file, start in zip(files, starts, strict=True)
    ] == starts
    document = report(tmp_path / "report.yaml")
    assert document["complete"] is True
    assert [case["outcome"] for case in document["cases"]] == ["passed", "passed"]


def test_a_gateway_with_a_defect(llmroute: Run, tmp_path: Path) -> None:
    """An adapter of one's own, which never checks: exit code 1, and the report says where the refusal was missed."""
    (tmp_path / "mine.py").write_text(UNCHECKED, encoding="utf-8")
    done = llmroute("conformance", "--stack", "mine:adapter", "--case", "exact-quantity", "--format", "yaml")
    assert done.returncode == 1
    (case,) = yaml.safe_load(done.stdout)["cases"]
    assert case["outcome"] == "failed"
    last = case["steps"][-1]
    assert (last["expected"]["status"], last["observed"]["status"]) == (429, 200)
    assert last["observed"]["reached the upstream"] is True


def test_the_list(llmroute: Run) -> None:
    """Every case, with what it is and what it needs."""
    lines = llmroute("conformance", "--list").stdout.splitlines()
    assert len(lines) == len(all_cases())
    assert "core/quickstart: a quantity for each user of a model (needs of-models)" in lines
    assert all("/" in line and ": " in line for line in lines)


def test_by_hand_as_the_document_says(
    llmroute: Run, program: list[str], environment: dict[str, str], tmp_path: Path
) -> None:
    """The three commands of docs/conformance.md, at free ports."""
    text = (ROOT / "docs" / "conformance.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```shell\n([^`]* --plan [^`]*)^```$", text, re.MULTILINE)
    planning, serving, asking = block.replace("127.0.0.1:8080", f"127.0.0.1:{free_port()}").splitlines()
    program_, *arguments, sign, file = planning.split()
    assert (program_, sign, file) == (".venv/bin/llmroute", ">", "plan.yaml")
    planned = llmroute(*arguments)
    assert (planned.returncode, planned.stderr) == (0, "")
    (tmp_path / file).write_text(planned.stdout, encoding="utf-8")
    listen = serving.split()[2:]
    assert listen == [file, "--listen", "127.0.0.1:8000"]
    with running(program, environment, str(tmp_path / file), "--listen", "127.0.0.1:0") as (_, url):
        done = llmroute(*asking.replace("http://127.0.0.1:8000", url).split()[1:])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "gateway (configured by hand)" in done.stdout
    assert "1 passed, 0 failed, 0 skipped" in done.stdout


def test_ctrl_c(program: list[str], environment: dict[str, str], tmp_path: Path) -> None:
    """One line, a partial report, exit code 1, and nothing left behind."""
    command = [*program, "conformance", "--profile", "core", "--report", "partial.yaml"]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr
        assert PROGRESS.fullmatch(process.stderr.readline())
        pids = descendants(process.pid)
        assert len(pids) >= 1
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 1
    (line,) = PROGRESS.sub("", err).splitlines()
    assert re.fullmatch(r"interrupted after \d+ of \d+ cases; the report has those", line)
    assert "Traceback" not in err
    assert out.endswith("(interrupted)\n")
    document = report(tmp_path / "partial.yaml")
    assert document["complete"] is False
    assert 1 <= sum(case["outcome"] == "passed" for case in document["cases"]) < len(all_cases())
    assert not {pid for pid in pids if Path("/proc", pid).exists()}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--stack", "moon"],
            "--stack moon: there are local, process, standalone, standalone-wasm, docker, kind, litellm, and MODULE:NAME",
        ),
        (["--stack", "local", "--gateway", "http://a:1"], "--stack and --gateway: one of them"),
        (["--gateway", "https://a"], "--gateway https://a: give http://HOST:PORT, with a path at the most"),
        (["--case", "nothing"], "--case nothing: there is no such case; --list has them all"),
        (["--case", "N-09", "--profile", "core"], "no case is of these profiles and has one of these ids"),
        (
            ["--report", "x.pdf"],
            "--report x.pdf: say its --format, or a name that ends in .yaml, .yml, .html, .xml, .txt",
        ),
        (["--report", "nowhere/x.yaml"], "--report nowhere/x.yaml: there is no such folder"),
        (["--upstream-listen", "x"], "--upstream-listen: 'x' is not HOST:PORT"),
    ],
)
def test_calls_that_cannot_be_meant(llmroute: Run, arguments: list[str], message: str) -> None:
    """One line and exit code 2."""
    done = llmroute("conformance", *arguments)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"llmroute: {message}\n")


def test_several_policies_need_a_place_each(llmroute: Run) -> None:
    """Two policies behind one address are no test of either."""
    done = llmroute(
        "conformance", "--gateway", "http://127.0.0.1:9", "--case", "exact-quantity", "--case", "quantity-of-1"
    )
    assert done.returncode == 2
    assert (
        "these cases need 2 policies; say {policy} where the URL has a policy's id, or choose a --case" in done.stderr
    )


def test_a_stack_of_the_repository(llmroute: Run) -> None:
    """Outside of a checkout it is said where it is."""
    done = llmroute("conformance", "--stack", "process")
    assert done.returncode == 1
    where = "--stack process is in llmroute's repository, not in the package: run this in a checkout of it"
    assert done.stderr == f"llmroute: {where}\n"


def test_without_a_feature(llmroute: Run) -> None:
    """Its cases are skipped by name; nothing failed, so the exit code is 0."""
    done = llmroute("conformance", "--case", "quickstart", "--without", "of-models")
    assert done.returncode == 0
    assert "skipped, missing: of-models: quickstart\n" in done.stdout
