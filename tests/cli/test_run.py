"""``run`` and ``demo`` on the installed wheel: from a file to a refused request, and clean ends."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from llmroute.conformance.upstream import ScriptedUpstream
from tests.cli.conftest import ROOT, Run, beside_warnings

ORIGINAL = str(ROOT / "manifests/examples/ratelimit-demo/llmroute.yaml")
HEADERS = {"x-ai-gateway-llm-backend": "huggingface-backend-ratelimit"}
BODY = {"model": "hf-opt-125m-chat", "messages": [{"role": "user", "content": "why open source is important?"}]}


@pytest.fixture
def upstream() -> Iterator[ScriptedUpstream]:
    """A fake model that answers 37 tokens."""
    with ScriptedUpstream() as running:
        yield running


@contextlib.contextmanager
def running(
    program: list[str], environment: dict[str, str], *arguments: str
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """``llmroute run`` and the URL that it says it is ready at."""
    command = [*program, "run", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout
        line = process.stdout.readline()
        assert line.startswith("ready: http://"), process.communicate(timeout=10)
        yield process, line.removeprefix("ready: ").strip()
    finally:
        process.terminate()
        process.communicate(timeout=20)


def test_the_access_log(
    program: list[str], environment: dict[str, str], upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    """A line for each request, at the latest when it ends."""
    log = tmp_path / "requests.jsonl"
    options = ["--listen", "127.0.0.1:0", "--upstream", upstream.url, "--access-log", str(log)]
    with running(program, environment, ORIGINAL, *options) as (_, url):
        assert ask(url, "test1") == 200
    (line,) = [json.loads(text) for text in log.read_text(encoding="utf-8").splitlines()]
    assert (line["user.id"], line["gen_ai.request.model"]) == ("test1", BODY["model"])
    assert (line["gen_ai.usage.input_tokens"], line["gen_ai.usage.output_tokens"]) == (27, 10)


def children(pid: int) -> list[str]:
    """Command lines of a process's descendants."""
    found = []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError, IndexError):
            if folder.name.isdigit() and folder.joinpath("stat").read_text().rsplit(")", 1)[1].split()[1] == str(pid):
                found += [folder.joinpath("cmdline").read_text().replace("\0", " "), *children(int(folder.name))]
    return found


def ask(url: str, user: str, model: str = BODY["model"]) -> int:  # type: ignore[assignment]
    """Status of a chat completion."""
    headers = HEADERS | {"x-user-id": user}
    answer = httpx.post(
        f"{url}/openai/v1/chat/completions", json=BODY | {"model": model}, headers=headers, trust_env=False
    )
    return answer.status_code


def test_the_original_document(program: list[str], environment: dict[str, str], upstream: ScriptedUpstream) -> None:
    """Ready within 3 s; 200, then 429 once the charge has landed; others untouched; a clean end."""
    begun = time.monotonic()
    with running(program, environment, ORIGINAL, "--listen", "127.0.0.1:0", "--upstream", upstream.url) as (
        process,
        url,
    ):
        assert time.monotonic() - begun < 3.0
        assert ask(url, "test1") == 200
        deadline = time.monotonic() + 5
        while (status := ask(url, "test1")) == 200 and time.monotonic() < deadline:
            pass  # the charge lands about a millisecond after the answer
        served = len(upstream.requests())
        assert (status, ask(url, "test1"), len(upstream.requests())) == (429, 429, served)
        assert ask(url, "test2") == 200
        assert [ask(url, "test1", "another") for _ in range(3)] == [200, 200, 200]
        assert any("envoy" in c for c in children(process.pid))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_cleanly(
    program: list[str], environment: dict[str, str], upstream: ScriptedUpstream, number: signal.Signals
) -> None:
    """Exit code 0, nothing said but a warning, the port free again, no process left."""
    arguments = (ORIGINAL, "--listen", "127.0.0.1:0", "--upstream", upstream.url)
    with running(program, environment, *arguments) as (process, url):
        pids = [p for p in children(process.pid) if "envoy" in p]
        assert pids
        os.kill(process.pid, number)
        out, err = process.communicate(timeout=20)
        assert (process.returncode, out, beside_warnings(err)) == (0, "", "")
    with pytest.raises(httpx.ConnectError):
        ask(url, "test1")


def test_an_envoy_that_dies_is_said(
    program: list[str], environment: dict[str, str], upstream: ScriptedUpstream
) -> None:
    """One message, exit code 1."""
    arguments = (ORIGINAL, "--listen", "127.0.0.1:0", "--upstream", upstream.url)
    with running(program, environment, *arguments) as (process, _):
        (envoy,) = [
            int(f.name)
            for f in Path("/proc").iterdir()
            if f.name.isdigit() and _is_envoy_of(f, process.pid)
        ]  # fmt: skip
        os.kill(envoy, signal.SIGKILL)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert beside_warnings(err).startswith("llmroute: envoy ended with exit code -9")


def _is_envoy_of(folder: Path, parent: int) -> bool:
    with contextlib.suppress(OSError):
        stat = folder.joinpath("stat").read_text()
        return "(envoy)" in stat and stat.rsplit(")", 1)[1].split()[1] == str(parent)
    return False


def test_a_busy_port(llmroute: Run, upstream: ScriptedUpstream) -> None:
    """One message, exit code 1, and nothing is started."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = llmroute("run", ORIGINAL, "--listen", address, "--upstream", upstream.url)
    assert (done.returncode, done.stdout) == (1, "")
    assert beside_warnings(done.stderr).startswith(f"llmroute: cannot listen on {address}: the port is in use")


@pytest.mark.parametrize("address", ["192.0.2.1:8080", "no-such-host.invalid:8080"])
def test_an_address_of_another_machine(llmroute: Run, upstream: ScriptedUpstream, address: str) -> None:
    """One message, exit code 1, no traceback."""
    done = llmroute("run", ORIGINAL, "--listen", address, "--upstream", upstream.url)
    said = beside_warnings(done.stderr)
    assert (done.returncode, done.stdout, said.count("\n")) == (1, "", 1)
    assert said.startswith(f"llmroute: cannot listen on {address}: ")


def test_a_host_by_name(program: list[str], environment: dict[str, str], upstream: ScriptedUpstream) -> None:
    """``localhost`` is looked up, as Envoy takes addresses only."""
    with running(program, environment, ORIGINAL, "--listen", "localhost:0", "--upstream", upstream.url) as (_, url):
        assert ask(url, "test1") == 200


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--listen", "nowhere"], "--listen: 'nowhere' is not HOST:PORT"),
        (["--upstream", "ftp://x"], "--upstream ftp://x: give [BACKEND=]http://HOST:PORT, without a path"),
        (["--upstream", "http://x/v1"], "--upstream http://x/v1: give [BACKEND=]http://HOST:PORT, without a path"),
        (["--upstream", "http://x:99999"], "--upstream http://x:99999: "),
        (["--upstream", "other=http://x"], "no such backend; there are: huggingface-backend-ratelimit"),
        (["--ratelimit", "redis"], "--ratelimit: 'redis' is not HOST:PORT"),
        (["--ratelimit", "process", "--redis", "here"], "--redis: 'here' is not HOST:PORT"),
    ],
)
def test_usage(llmroute: Run, arguments: list[str], says: str) -> None:
    """Exit code 2 and one line."""
    done = llmroute("run", ORIGINAL, *arguments)
    said = beside_warnings(done.stderr)
    assert (done.returncode, done.stdout, said.count("\n")) == (2, "", 1)
    assert says in said


def test_a_policy_without_an_upstream(llmroute: Run, tmp_path: Path) -> None:
    """The backend has no address: the message names the option."""
    policy = (ROOT / "manifests/examples/quickstart/llmroute.yaml").read_text(encoding="utf-8").split("---\n")[0]
    (tmp_path / "p.yaml").write_text(policy, encoding="utf-8")
    done = llmroute("run", "p.yaml")
    assert done.returncode == 1
    assert "say --upstream openai=http://HOST:PORT" in done.stderr


def test_a_missing_ratelimit_binary(llmroute: Run, environment: dict[str, str], upstream: ScriptedUpstream) -> None:
    """It says how to get it."""
    environment["PATH"] = "/nonexistent"
    done = llmroute("run", ORIGINAL, "--listen", "127.0.0.1:0", "--upstream", upstream.url, "--ratelimit", "process")
    assert (done.returncode, done.stdout) == (1, "")
    assert "go install github.com/envoyproxy/ratelimit/src/service_cmd@" in done.stderr


def test_a_service_that_runs_already(
    program: list[str], environment: dict[str, str], upstream: ScriptedUpstream
) -> None:
    """``--ratelimit HOST:PORT`` uses it, with the configuration that ``generate`` writes."""
    from llmroute.local.ratelimit_service import EmbeddedRateLimit

    config = ROOT / "manifests/examples/ratelimit-demo/out/envoy/ratelimit/default.ratelimit-demo.yaml"
    with EmbeddedRateLimit([config], clock=lambda: 1_000_000.0) as service:
        arguments = (ORIGINAL, "--listen", "127.0.0.1:0", "--upstream", upstream.url, "--ratelimit", service.address)
        with running(program, environment, *arguments) as (_, url):
            assert ask(url, "test1") == 200
            deadline = time.monotonic() + 5
            while sum(service.counters().values()) < 37 and time.monotonic() < deadline:
                time.sleep(0.002)
            assert ask(url, "test1") == 429
        assert sorted(service.counters().values()) == [37]


RESERVED = """\
apiVersion: aigateway.envoyproxy.io/v1alpha1
kind: LLMRoute
metadata: {name: chat, namespace: default}
spec:
  targetRefs: [{name: ai-eg}]
  admission: {mode: Reserve, maxTokens: 100, maxInFlight: 8}
  backends:
  - backendRef: {name: openai, kind: Backend}
    trafficPolicy: {rateLimit: {rules: [{limits: [{type: Token, quantity: 200, unit: Day}]}]}}
"""


def test_a_reservation(
    program: list[str], environment: dict[str, str], upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    """``--ratelimit embedded``, the default, takes refunds: each of three answers takes 37 of the 116 that it held."""
    policy = tmp_path / "policy.yaml"
    policy.write_text(RESERVED)
    arguments = (str(policy), "--listen", "127.0.0.1:0", "--upstream", upstream.url)
    with running(program, environment, *arguments) as (process, url):
        assert process.stderr
        note = "overshoot of token limits (Reserve, Async): at most 16 x (prompt beyond its estimate) tokens"
        assert f"policy.yaml:3:18: note: {note} for each Envoy and backend" in process.stderr.readline()
        admitted, deadline = 0, time.monotonic() + 5
        while admitted < 3 and time.monotonic() < deadline:  # refused while what is left over is not back
            admitted += ask(url, "test1") == 200
        assert (admitted, ask(url, "test1")) == (3, 429)


@pytest.mark.parametrize("ratelimit", ["process", "127.0.0.1:1"])
def test_a_reservation_needs_refunds(llmroute: Run, tmp_path: Path, ratelimit: str) -> None:
    """Any other service counts a refund as a charge, so it is refused before anything starts."""
    policy = tmp_path / "policy.yaml"
    policy.write_text(RESERVED)
    done = llmroute("run", str(policy), "--upstream", "http://127.0.0.1:1", "--ratelimit", ratelimit)
    assert (done.returncode, done.stdout) == (1, "")
    assert "error LR042: mode: Reserve gives back what was not used" in done.stderr


def test_demo(llmroute: Run) -> None:
    """A table with 200s and a 429, and who was refused and why."""
    done = llmroute("demo")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("429 refused") == 1
    assert "alice was refused on demo-model: Rate limit reached for demo-model on tokens per hour" in done.stdout
    assert done.stderr == ""


def test_demo_for_machines(llmroute: Run) -> None:
    """Each request with its tokens and counter."""
    done = llmroute("demo", "--json")
    assert done.returncode == 0
    result = json.loads(done.stdout)
    rows = [(r["user"], r["model"], r["status"], r["tokens"], r["used"]) for r in result["requests"]]
    assert rows == [
        ("alice", "demo-model", 200, 37, 37),
        ("alice", "demo-model", 200, 37, 74),
        ("alice", "demo-model", 200, 37, 111),
        ("alice", "demo-model", 429, 0, 111),
        ("bob", "demo-model", 200, 37, 37),
        ("alice", "other-model", 200, 37, None),
    ]
    assert result["refused"] == 1


def test_a_demo_that_refuses_nobody_fails(environment: dict[str, str], installed: Path) -> None:
    """Exit code 1: the demo proves something, or says that it did not."""
    policy = installed / "llmroute/data/demo.yaml"
    script = (
        "import pathlib, sys; from importlib import resources; from llmroute.cli import demo; from llmroute.cli.app import main\n"
        f"text = pathlib.Path({str(policy)!r}).read_text().replace('quantity: 100', 'quantity: 100000')\n"
        "demo.policy_text = lambda: text\n"
        "sys.argv = ['llmroute', 'demo']; main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment, timeout=60, check=False
    )
    assert done.returncode == 1
    assert done.stderr.endswith("llmroute: no request was refused; the limit did not hold\n")


def test_commands_that_lack_their_extra(environment: dict[str, str]) -> None:
    """``pip install llmroute`` alone: generate works, run names the extra."""
    script = (
        "import sys; sys.modules['grpc'] = None; sys.modules['aiohttp'] = None\n"
        "from llmroute.cli.app import main; sys.argv = ['llmroute', *sys.argv[1:]]; main()\n"
    )
    for command, code in (("demo", 1), ("check", 0)):
        done = subprocess.run(
            [sys.executable, "-c", script, command, *([ORIGINAL] if command == "check" else [])],
            capture_output=True,
            text=True,
            env=environment,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, done.stderr
        if code:
            assert "pip install 'llmroute[local]'" in done.stderr
            assert "Traceback" not in done.stderr


def test_help_is_quick(program: list[str], environment: dict[str, str]) -> None:
    """``--help`` loads no command: nothing but click is imported."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *program[1:], "--help"],
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )
    assert "Usage: llmroute" in done.stdout
    loaded = {line.rsplit("|", 1)[1].strip().split(".")[0] for line in done.stderr.splitlines() if "|" in line}
    assert not loaded & {"pydantic", "yaml", "rich", "grpc", "aiohttp", "re2"}
