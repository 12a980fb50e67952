"""``generate --check``, the stamp on what is made, and what calls it: pre-commit and GitHub Actions."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.conftest import ROOT, Run
from tests.policies import limit, route, rule, text
from tools.examples import examples

LLM = {
    "apiVersion": "gateway.envoyproxy.io/v1alpha1",
    "kind": "Backend",
    "metadata": {"name": "llm", "namespace": "default"},
    "spec": {"endpoints": [{"ip": {"address": "192.0.2.1", "port": 80}}]},
}
HOOKS: dict[str, dict[str, Any]] = {
    hook["id"]: hook for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
}
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))


def policy(folder: Path, quantity: int = 10, name: str = "route") -> None:
    """``chat.llmroute.yaml`` in ``folder``: a limit of requests."""
    made = text(route(rule(limit(quantity, "Request")), name=name), LLM)
    (folder / "chat.llmroute.yaml").write_text(made, encoding="utf-8")


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Every file with its content and when it was written."""
    return {str(p): (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(params=["envoy-gateway", "envoy", "compose"])
def target(request: pytest.FixtureRequest) -> str:
    """Each target."""
    return str(request.param)


def test_what_was_just_made_is_current(llmroute: Run, tmp_path: Path, target: str) -> None:
    """Exit code 0 and no word; nothing is written."""
    policy(tmp_path)
    command = ["generate", "--target", target, "chat.llmroute.yaml", "-o", "out"]
    assert llmroute(*command).returncode == 0
    before = snapshot(tmp_path)
    done = llmroute(*command, "--check")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert snapshot(tmp_path) == before


def test_an_edit_makes_it_stale(llmroute: Run, tmp_path: Path, target: str) -> None:
    """Each file with the quantity or the hash is named, and nothing is written."""
    policy(tmp_path)
    command = ["generate", "--target", target, "chat.llmroute.yaml", "-o", "out"]
    llmroute(*command)
    policy(tmp_path, quantity=11)
    before = snapshot(tmp_path)
    done = llmroute(*command, "--check")
    ours = {
        "envoy-gateway": ["envoy-gateway.yaml"],
        "envoy": ["envoy.yaml", "ratelimit/default.route.yaml"],
        "compose": ["envoy.yaml", "ratelimit/default.route.yaml"],
    }[target]
    assert (done.returncode, done.stdout.splitlines()) == (1, [f"stale: out/{name}" for name in ours])
    assert done.stderr == "llmroute: out is not current: run the same without --check, and delete what is left over\n"
    assert snapshot(tmp_path) == before


def test_what_is_missing_or_left_over(llmroute: Run, tmp_path: Path) -> None:
    """A renamed route leaves its old limits in force; a file of someone else's is no business of ours."""
    policy(tmp_path)
    command = ["generate", "--target", "envoy", "chat.llmroute.yaml", "-o", "out"]
    assert (
        llmroute(*command, "--check").stdout == "missing: out/envoy.yaml\nmissing: out/ratelimit/default.route.yaml\n"
    )
    assert not (tmp_path / "out").exists()
    llmroute(*command)
    (tmp_path / "out/ratelimit/theirs.yaml").write_text("domain: theirs\n", encoding="utf-8")
    policy(tmp_path, name="other")
    done = llmroute(*command, "--check")
    assert done.stdout.splitlines() == [
        "stale: out/envoy.yaml",
        "missing: out/ratelimit/default.other.yaml",
        "left over: out/ratelimit/default.route.yaml",
    ]
    llmroute(*command)
    (tmp_path / "out/ratelimit/default.route.yaml").unlink()
    assert llmroute(*command, "--check").returncode == 0


def test_a_check_needs_a_directory(llmroute: Run, tmp_path: Path) -> None:
    """There is nothing to compare standard output with."""
    policy(tmp_path)
    done = llmroute("generate", "--check", "chat.llmroute.yaml")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "llmroute: --check compares with what is in a directory: say -o DIR\n"


def test_the_stamp(llmroute: Run, tmp_path: Path) -> None:
    """Names the route, the file without its folder, and the hash that is on the objects; standard input has no file."""
    policy(tmp_path)
    (tmp_path / "sub").mkdir()
    by_file, by_folder = (
        llmroute("generate", name, cwd=tmp_path / folder).stdout
        for name, folder in [("chat.llmroute.yaml", ""), ("../chat.llmroute.yaml", "sub")]
    )
    assert by_file == by_folder
    hashes = set(re.findall(r"""llmroute-hash: "?(\w{16})"?\n""", by_file))
    stamps = [line for line in by_file.splitlines() if line.startswith("# Made by")]
    (digest,) = hashes
    expected = (
        f"# Made by llmroute from the LLMRoute default/route in chat.llmroute.yaml, hash {digest}. Edit that, not this."
    )
    assert stamps == [expected] * 3
    piped = llmroute("generate", "-", stdin=(tmp_path / "chat.llmroute.yaml").read_text(encoding="utf-8")).stdout
    assert piped == by_file.replace(" in chat.llmroute.yaml,", ",")


def test_a_name_that_yaml_cannot_hold(llmroute: Run, tmp_path: Path) -> None:
    """Of a file: the stamp stays a comment."""
    policy(tmp_path)
    name = "a\nb: \x01.yaml"
    (tmp_path / "chat.llmroute.yaml").rename(tmp_path / name)
    done = llmroute("generate", name)
    assert " in a?b: ?.yaml, hash" in done.stdout.splitlines()[0]
    assert len(list(yaml.safe_load_all(done.stdout))) == 4


@pytest.mark.parametrize("hook", HOOKS)
def test_hooks_of_pre_commit(
    program: list[str], environment: dict[str, str], tmp_path: Path, llmroute: Run, hook: str
) -> None:
    """As pre-commit calls them: the entry, then args and the files. They pass, and fail after a mistake or an edit."""
    manifest = HOOKS[hook]
    assert {"id", "name", "entry", "language"} <= set(manifest)
    assert manifest["language"] == "python", "pre-commit installs this repository"
    environment["PATH"] = f"{Path(program[-1]).parent}{os.pathsep}{environment['PATH']}"
    given = ["chat.llmroute.yaml"] if manifest.get("pass_filenames", True) else ["chat.llmroute.yaml", "-o", "deploy"]
    policy(tmp_path)
    llmroute("generate", "chat.llmroute.yaml", "-o", "deploy")
    codes = []
    for quantity in (10, -1 if hook == "llmroute-check" else 11):
        policy(tmp_path, quantity)
        command = [*shlex.split(manifest["entry"]), *given]
        codes.append(
            subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False).returncode
        )
    assert codes == [0, 1]


def test_hooks_find_policies() -> None:
    """Every example, and no other file of this repository's output."""
    pattern = re.compile(HOOKS["llmroute-check"]["files"])
    for policy_file in examples():
        assert pattern.search(str(policy_file.relative_to(ROOT)))
        assert not [p for p in (policy_file.parent / "out").rglob("*") if pattern.search(str(p.relative_to(ROOT)))]
    assert pattern.search("chat.llmroute.yml")
    assert not pattern.search("my-llmroute-notes.yaml")


def test_the_action(program: list[str], environment: dict[str, str], tmp_path: Path, llmroute: Run) -> None:
    """Its scripts, but for the installation: fine, stale, and a name that would be code in another shell."""
    environment["PATH"] = f"{Path(program[-1]).parent}{os.pathsep}{environment['PATH']}"
    policy(tmp_path)
    llmroute("generate", "chat.llmroute.yaml", "-o", "deploy")
    steps = {step["name"]: step for step in ACTION["runs"]["steps"]}
    assert list(steps) == ["Install", "Check", "Compare"]
    assert '/bin/pip" install --quiet "$LLMROUTE"\n' in steps["Install"]["run"], "the action's own checkout"

    def run(name: str, **inputs: str) -> int:
        values = {key: found["default"] for key, found in ACTION["inputs"].items() if "default" in found} | inputs
        step = steps[name]
        given = {k: re.sub(r"\$\{\{ inputs\.(\w+) \}\}", lambda m: values[m[1]], v) for k, v in step["env"].items()}
        assert not [v for v in given.values() if "${{" in v]
        assert "${{" not in step["run"]
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
        return subprocess.run(
            command, cwd=tmp_path, env=environment | given, capture_output=True, check=False
        ).returncode

    assert run("Check", files="chat.llmroute.yaml") == 0
    assert run("Compare", files="chat.llmroute.yaml", output="deploy") == 0
    assert run("Compare", files="chat.llmroute.yaml", output="deploy", target="envoy") == 1
    policy(tmp_path, quantity=11)
    assert run("Compare", files="chat.llmroute.yaml", output="deploy") == 1
    policy(tmp_path, quantity=-1)
    assert run("Check", files="chat.llmroute.yaml") == 1
    assert run("Check", files="$(touch broken)") == 2
    assert not (tmp_path / "broken").exists()
