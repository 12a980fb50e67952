"""The installed wheel in the hands of kustomize, kpt, Helm and kubectl."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.capability import lacking
from e2e.stacks.protocol import Unavailable
from e2e.stacks.tools import tool
from tests.cli.conftest import ROOT, Run
from tests.cli.test_documents import blocks
from tests.policies import limit, route, rule, text

GITOPS = ROOT / "manifests/gitops"
MADE = ["HTTPRoute", "EnvoyExtensionPolicy", "BackendTrafficPolicy"]

Ask = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def ask(request: pytest.FixtureRequest, installed: Path, environment: dict[str, str]) -> Ask:
    """Run a tool, with ``llmroute`` on its PATH."""
    environment["PATH"] = f"{installed / 'bin'}{os.pathsep}{environment['PATH']}"

    def run(name: str, *arguments: str, cwd: Path = ROOT, stdin: str = "") -> subprocess.CompletedProcess[str]:
        try:
            program = tool(name)
        except Unavailable as missing:
            lacking(request.config, missing)
        command = [str(program), *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, env=environment, cwd=cwd, input=stdin, check=False, timeout=120
        )

    return run


def by_kind(stream: str) -> dict[str, Any]:
    """Each document of a stream of different kinds."""
    return {d["kind"]: d for d in yaml.safe_load_all(stream) if d}


def quantities(documents: dict[str, Any]) -> list[int]:
    """Of the limits, as the service has them: one less."""
    rules = documents["BackendTrafficPolicy"]["spec"]["rateLimit"]["global"]["rules"]
    return [rule["limit"]["requests"] for rule in rules]


def test_kustomize(ask: Ask) -> None:
    """As a transformer it sees namespace and patches of the overlay."""
    done = ask("kustomize", "build", "--enable-alpha-plugins", "--enable-exec", str(GITOPS / "kustomize"))
    assert (done.returncode, done.stderr) == (0, "")
    documents = by_kind(done.stdout)
    assert set(documents) == {*MADE, "Backend"}
    assert {d["metadata"]["namespace"] for d in documents.values()} == {"prod"}
    assert quantities(documents) == [50000 - 1]
    assert "config.kubernetes.io" not in done.stdout, "none of kustomize's books are left"


def test_kustomize_is_told_what_is_wrong(ask: Ask, tmp_path: Path) -> None:
    """The build fails, and says why."""
    folder = shutil.copytree(GITOPS / "kustomize", tmp_path / "overlay")
    policy = (folder / "policy.yaml").read_text(encoding="utf-8")
    (folder / "policy.yaml").write_text(policy.replace("unit: Hour", "unit: Hours"), encoding="utf-8")
    done = ask("kustomize", "build", "--enable-alpha-plugins", "--enable-exec", str(folder))
    assert (done.returncode, done.stdout) == (1, "")
    assert "LLMRoute prod/chat: error LR025: " in done.stderr


def test_a_pipe_behind_kubectl(ask: Ask, llmroute: Run, tmp_path: Path) -> None:
    """``kubectl kustomize`` runs no programs of this machine; without the transformer a pipe does the same."""
    folder = shutil.copytree(GITOPS / "kustomize", tmp_path / "overlay")
    file = folder / "kustomization.yaml"
    file.write_text(file.read_text(encoding="utf-8").partition("transformers:")[0], encoding="utf-8")
    built = ask("kubectl", "kustomize", str(folder))
    documents = by_kind(llmroute("generate", "-", stdin=built.stdout).stdout)
    function = ask("kustomize", "build", "--enable-alpha-plugins", "--enable-exec", str(GITOPS / "kustomize"))
    assert documents == by_kind(function.stdout)
    assert quantities(documents) == [50000 - 1]


def test_helm(ask: Ask) -> None:
    """As the post-renderer it sees the chart with its values."""
    arguments = ["--post-renderer", "llmroute", "--post-renderer-args", "generate", "--post-renderer-args", "-"]
    done = ask("helm", "template", "chat", str(GITOPS / "helm"), "-n", "prod", "--set", "tokensPerHour=70", *arguments)
    assert done.returncode == 0, done.stderr
    documents = by_kind(done.stdout)
    assert set(documents) == {*MADE, "Backend"}
    assert documents["HTTPRoute"]["metadata"] | {"labels": 0, "annotations": 0} == {
        "name": "chat",
        "namespace": "prod",
        "labels": 0,
        "annotations": 0,
    }
    assert quantities(documents) == [69]


def test_helm_is_told_what_is_wrong(ask: Ask) -> None:
    """No release comes of it."""
    arguments = ["--post-renderer", "llmroute", "--post-renderer-args", "generate", "--post-renderer-args", "-"]
    done = ask("helm", "template", "chat", str(GITOPS / "helm"), "--set", "tokensPerHour=-1", *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert "must be at least 0, not -1" in done.stderr


def test_kubectl_finds_the_plugin(ask: Ask) -> None:
    """``kubectl llmroute`` is ``llmroute``, and calls itself so."""
    done = ask("kubectl", "llmroute", "check", "-", stdin=text(route(rule(limit(10, "Request")))))
    assert (done.returncode, done.stdout) == (0, "no findings (LLMRoutes: 1, limits: 1)\n")
    assert ask("kubectl", "llmroute", "--help").stdout.startswith("Usage: kubectl llmroute ")


def test_kpt(ask: Ask, tmp_path: Path) -> None:
    """In a package the policy stays, what is made of it gets files of its own, and a second run changes nothing."""
    if not shutil.which("kpt"):
        pytest.skip("missing capability: kpt is not on PATH")
    policy = (GITOPS / "kustomize/policy.yaml").read_text(encoding="utf-8")
    head = '  annotations: {config.kubernetes.io/local-config: "true"} # the source'
    (tmp_path / "policy.yaml").write_text(policy.replace("  name: chat\n", f"  name: chat\n{head}\n"), encoding="utf-8")
    kptfile = "apiVersion: kpt.dev/v1\nkind: Kptfile\nmetadata: {name: chat}\n"
    (tmp_path / "Kptfile").write_text(kptfile, encoding="utf-8")
    done = ask("kpt", "fn", "eval", str(tmp_path), "--exec", "llmroute krm")
    assert done.returncode == 0, done.stderr
    first = {p: p.read_text(encoding="utf-8") for p in tmp_path.rglob("*.yaml")}
    assert head in first[tmp_path / "policy.yaml"]
    assert {yaml.safe_load(t)["kind"] for p, t in first.items() if p.name != "policy.yaml"} == set(MADE)
    assert ask("kpt", "fn", "eval", str(tmp_path), "--exec", "llmroute krm").returncode == 0
    assert {p: p.read_text(encoding="utf-8") for p in tmp_path.rglob("*.yaml")} == first


@pytest.mark.parametrize("script", [block for path, block in blocks("shell") if path == "docs/gitops.md"])
def test_the_scripts_of_the_document(
    request: pytest.FixtureRequest, installed: Path, environment: dict[str, str], tmp_path: Path, script: str
) -> None:
    """Each block of docs/gitops.md as it stands, beside a policy, a kustomization and the manifests."""
    try:
        tools = {tool(name).parent for name in ("kubectl", "kustomize", "helm") if f"{name} " in script}
    except Unavailable as missing:
        lacking(request.config, missing)
    environment["PATH"] = os.pathsep.join([str(installed / "bin"), *map(str, tools), environment["PATH"]])
    (tmp_path / "manifests").symlink_to(ROOT / "manifests")
    (tmp_path / "base").mkdir()
    shutil.copy(GITOPS / "kustomize/policy.yaml", tmp_path / "base")
    shutil.copy(GITOPS / "kustomize/policy.yaml", tmp_path)
    (tmp_path / "base/kustomization.yaml").write_text("resources: [policy.yaml]\n", encoding="utf-8")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    written = re.findall(r"> ([\w.]+)$", script, re.MULTILINE)
    assert all((tmp_path / name).stat().st_size > 1000 for name in written)


def test_the_document_configures_what_there_is() -> None:
    """Hooks of pre-commit and inputs of the action, by their names."""
    hooks, action = (yaml.safe_load(block) for path, block in blocks("yaml") if path == "docs/gitops.md")
    known = {hook["id"] for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))}
    assert {hook["id"] for repo in hooks["repos"] for hook in repo["hooks"]} == known
    inputs = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))["inputs"]
    (step,) = action["steps"]
    assert set(step["with"]) <= set(inputs)
    assert {name for name, found in inputs.items() if found.get("required")} <= set(step["with"])


def test_no_resource_list(llmroute: Run) -> None:
    """Usage: exit code 2 and one line."""
    done = llmroute("krm", stdin="kind: Service\n")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "llmroute: <stdin> is not one ResourceList: kustomize or kpt gives it to a KRM function\n"
