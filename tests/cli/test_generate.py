"""``generate`` and ``check`` on the installed wheel: streams, files, exit codes, and no half-written output."""

from __future__ import annotations

import json
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest
import yaml

from tests.cli.conftest import ROOT, Run, beside_warnings
from tests.policies import header, limit, route, rule, text

EXAMPLE = ROOT / "manifests/examples/ratelimit-demo"
GOOD = text(route(rule(limit(10))))


def test_the_wheel_holds_what_it_needs(wheel: Path) -> None:
    """Package, bundled filter, demo policy, type marker; no tests."""
    files = set(zipfile.ZipFile(wheel).namelist())
    assert {"llmroute/data/filter.lua", "llmroute/data/demo.yaml", "llmroute/py.typed", "llmroute/cli/app.py"} <= files
    assert not [f for f in files if f.startswith(("tests", "e2e", "filters"))]


def test_the_tests_run_the_wheel(llmroute: Run, installed: Path) -> None:
    """The bad option's traceback-free message comes from the installed copy."""
    done = llmroute("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("llmroute ")
    assert (installed / "llmroute/__init__.py").exists()


@pytest.mark.parametrize("seed", ["0", "1", "random"])
def test_the_same_bytes_on_every_run(llmroute: Run, environment: dict[str, str], seed: str) -> None:
    """Whatever Python's hashes are."""
    environment["PYTHONHASHSEED"] = seed
    done = llmroute("generate", str(EXAMPLE / "llmroute.yaml"))
    assert done.returncode == 0
    assert done.stdout == (EXAMPLE / "out/envoy-gateway.yaml").read_text(encoding="utf-8")
    assert done.stderr.count("\n") == done.stderr.count("warning LR024") == 1, "its limits leave out the model unknown"


def test_files_of_the_envoy_target(llmroute: Run, tmp_path: Path) -> None:
    """``-o`` writes each file below the directory."""
    done = llmroute("generate", "--target", "envoy", str(EXAMPLE / "llmroute.yaml"), "-o", "out/deep")
    assert (done.returncode, done.stdout, beside_warnings(done.stderr)) == (0, "", "")
    written = sorted(str(p.relative_to(tmp_path / "out/deep")) for p in tmp_path.rglob("*") if p.is_file())
    assert written == ["envoy.yaml", "ratelimit/default.ratelimit-demo.yaml"]
    for name in written:
        assert (tmp_path / "out/deep" / name).read_bytes() == (EXAMPLE / "out/envoy" / name).read_bytes()


def test_the_module_and_its_image(llmroute: Run, tmp_path: Path) -> None:
    """Written to a file or as an image layout; the policy says the digests, which are printed."""
    (tmp_path / "policy.yaml").write_text(GOOD, encoding="utf-8")
    assert llmroute("wasm", "export", "-o", "deep/filter.wasm").returncode == 0
    module = (tmp_path / "deep/filter.wasm").read_bytes()
    assert module.startswith(b"\0asm")
    done = llmroute("wasm", "export", "--oci", "layout")
    assert done.returncode == 0
    image = done.stdout.strip().removeprefix("sha256:")
    assert (tmp_path / "layout/blobs/sha256" / image).is_file()
    for url, digest in (("https://x.example/f.wasm", sha256(module).hexdigest()), ("oci://x.example/f:1", image)):
        made = llmroute("generate", "policy.yaml", "--engine", "wasm", "--wasm-url", url)
        assert made.returncode == 0, made.stderr
        assert made.stdout.count(digest) == 2
    both = llmroute("wasm", "export", "--oci", "layout", "-o", "file")
    assert (both.returncode, both.stderr) == (2, "llmroute: -o and --oci are two ways to have it: say one\n")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--engine", "wasm"], "say --wasm-url; `llmroute wasm export` writes it"),
        (["--wasm-url", "https://x.example/f"], "--wasm-url is for --target envoy-gateway --engine wasm"),
        (["--target", "envoy", "--engine", "wasm", "--wasm-url", "https://x.example/f"], "--wasm-url is for"),
        (["--engine", "wasm", "--wasm-url", "x.example/f"], "it has to be http://…, https://… or, for an image"),
    ],
    ids=["no-url", "lua", "envoy", "no-scheme"],
)
def test_where_the_module_comes_from(llmroute: Run, tmp_path: Path, options: list[str], said: str) -> None:
    """Said where Envoy Gateway has to get it, and nowhere else."""
    (tmp_path / "policy.yaml").write_text(GOOD, encoding="utf-8")
    done = llmroute("generate", "policy.yaml", *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_standard_output_of_several_files_is_one_stream(llmroute: Run) -> None:
    """With the name of each file above its document."""
    done = llmroute("generate", "--target", "envoy", str(EXAMPLE / "llmroute.yaml"), "-o", "-")
    assert [next(iter(d)) for d in yaml.safe_load_all(done.stdout)] == ["admin", "domain"]
    assert "# File: ratelimit/default.ratelimit-demo.yaml" in done.stdout


def test_several_llmroutes_and_files(llmroute: Run, tmp_path: Path) -> None:
    """Two files, three LLMRoutes, a Service between them: nine documents and the Service, in order."""
    a, b, c = (route(name=n, **{n: [rule(limit(1))]}) for n in ("a", "b", "c"))
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}}
    (tmp_path / "one.yaml").write_text(text(a, service, b), encoding="utf-8")
    (tmp_path / "two.yaml").write_text(text(c), encoding="utf-8")
    done = llmroute("generate", "one.yaml", "two.yaml")
    assert done.returncode == 0
    found = [(d["metadata"]["name"], d["kind"]) for d in yaml.safe_load_all(done.stdout)]
    kinds = ["HTTPRoute", "EnvoyExtensionPolicy", "BackendTrafficPolicy"]
    assert found == [*(("a", k) for k in kinds), ("s", "Service"), *((n, k) for n in "bc" for k in kinds)]
    assert done.stderr.count("warning LR018") == 2, "two more routes take requests that name no backend"


BAD = [
    ("not-yaml", "a: [\n", 1, "<stdin>:2:1: error LR001: not YAML"),
    ("unknown-field", GOOD.replace("quantity", "quantty"), 1, "LR003"),
    ("wrong-type", GOOD.replace("quantity: 10", "quantity: ten"), 1, "must be an integer, not the string 'ten'"),
    ("duplicate-backend", GOOD.replace("  backends:\n", "  backends:\n  - backendRef: {name: llm, kind: Backend}\n"), 1, "LR009"),
    ("two-of-one-name", f"{GOOD}---\n{GOOD}", 1, "LR008"),
    ("empty", "", 1, "LR007"),
    ("bad-regex", text(route(rule(limit(1), headers=[header("x-a", "RegularExpression", "(")]))), 1, "LR012"),
]  # fmt: skip


@pytest.mark.parametrize(("policy", "code", "says"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
@pytest.mark.parametrize("command", ["check", "generate"])
def test_bad_input(llmroute: Run, tmp_path: Path, command: str, policy: str, code: int, says: str) -> None:
    """One clear message, exit code 1, no traceback, nothing written."""
    options = ["-o", "out"] if command == "generate" else []
    done = llmroute(command, "-", *options, stdin=policy)
    said = done.stdout if command == "check" else done.stderr
    assert done.returncode == code
    assert says in said
    assert "error" in said
    assert "Traceback" not in done.stdout + done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["check", "generate", "run"])
@pytest.mark.parametrize("name", ["missing.yaml", "folder"])
def test_a_file_that_cannot_be_read(llmroute: Run, tmp_path: Path, command: str, name: str) -> None:
    """Usage: exit code 2 and one line."""
    (tmp_path / "folder").mkdir()
    done = llmroute(command, name)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"llmroute: cannot read {name}: ")
    assert done.stderr.count("\n") == 1


def test_bytes_that_are_no_text(llmroute: Run, tmp_path: Path) -> None:
    """Not UTF-8: exit code 2 and one line."""
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9\n")
    done = llmroute("check", "latin.yaml")
    assert (done.returncode, done.stderr) == (2, "llmroute: cannot read latin.yaml: it is not UTF-8 (byte 3)\n")


def test_a_directory_that_cannot_be_written(llmroute: Run, tmp_path: Path) -> None:
    """Nothing is written, nothing is left of the attempt."""
    (tmp_path / "out").write_text("a file", encoding="utf-8")
    done = llmroute("generate", "-", "-o", "out", stdin=GOOD)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("llmroute: cannot write below out: ")
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_file_in_the_way_leaves_the_others_alone(llmroute: Run, tmp_path: Path) -> None:
    """All files or none: the second cannot be written, so the first is not either."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out/ratelimit").write_text("in the way", encoding="utf-8")
    done = llmroute("generate", "--target", "envoy", str(EXAMPLE / "llmroute.yaml"), "-o", "out")
    assert done.returncode == 1
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["ratelimit"]


def test_a_directory_in_a_files_place(llmroute: Run, tmp_path: Path) -> None:
    """Seen before anything is written."""
    (tmp_path / "out/ratelimit/default.ratelimit-demo.yaml").mkdir(parents=True)
    done = llmroute("generate", "--target", "envoy", str(EXAMPLE / "llmroute.yaml"), "-o", "out")
    assert (done.returncode, done.stdout) == (1, "")
    assert "it is a directory" in done.stderr
    assert not (tmp_path / "out/envoy.yaml").exists()


@pytest.mark.parametrize(
    "arguments", [["generate"], ["generate", "-", "--target", "nginx"], ["check", "-", "--eg-version", "1.8"], ["nope"]]
)
def test_usage(llmroute: Run, arguments: list[str]) -> None:
    """Exit code 2, and what is possible."""
    done = llmroute(*arguments)
    assert done.returncode == 2
    assert "Usage:" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("option", [["--access-log", "/dev/stdout"], ["--usage-counters"]], ids=lambda o: o[0])
def test_telemetry_is_a_plain_envoys(llmroute: Run, option: list[str]) -> None:
    """Envoy Gateway is told by an EnvoyProxy: one line says where that is. The others take it."""
    done = llmroute("generate", "-", *option, stdin=GOOD)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("llmroute: --access-log and --usage-counters are a plain Envoy's: ")
    for target in ("envoy", "compose"):
        made = llmroute("generate", "--target", target, str(EXAMPLE / "llmroute.yaml"), *option)
        assert made.stdout.count("      access_log:\n") == 1
    assert "access_log:" not in llmroute("generate", "--target", "envoy", str(EXAMPLE / "llmroute.yaml")).stdout


def test_findings_for_machines(llmroute: Run) -> None:
    """``--format json``: one record per finding, also when there is none."""
    done = llmroute("check", "--format", "json", "-", stdin=GOOD.replace("quantity: 10", "quantity: -1"))
    (record,) = json.loads(done.stdout)
    assert done.returncode == 1
    assert record == {
        "code": "LR004",
        "title": "a value has the wrong type or is out of range",
        "severity": "error",
        "file": "<stdin>",
        "line": 18,
        "column": 23,
        "path": "spec.backends[0].trafficPolicy.rateLimit.rules[0].limits[0].quantity",
        "message": "spec.backends[0].trafficPolicy.rateLimit.rules[0].limits[0].quantity must be at least 0, not -1",
        "hint": "",
        "link": "docs/diagnostics.md#lr004-a-value-has-the-wrong-type-or-is-out-of-range",
    }
    assert json.loads(llmroute("check", "--format", "json", "-", stdin=GOOD).stdout) == []


def test_a_reader_that_goes_away(program: list[str], environment: dict[str, str]) -> None:
    """``generate … | head -1`` ends without a word, the policy's warning aside."""
    import subprocess

    command = f"set -o pipefail; {' '.join(program)} generate {EXAMPLE / 'llmroute.yaml'} | head -c 1 > /dev/null"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=environment, check=False)
    assert beside_warnings(done.stderr) == ""
