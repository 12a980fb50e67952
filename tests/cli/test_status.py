"""``status`` and ``reset`` on the installed wheel, with a real Valkey and with the embedded service."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import redis

from llmroute.conformance.upstream import ScriptedUpstream
from llmroute.local.valkey import ValkeyProcess
from tests.cli.conftest import ROOT, Run
from tests.cli.reader import interrupted
from tests.policies import MODEL, USER, header, limit, route, rule, text

pytestmark = pytest.mark.slow

QUICKSTART = str(ROOT / "manifests/examples/quickstart/llmroute.yaml")
POLICY = text(
    route(
        rule(limit(1000, unit="Year"), headers=[header(USER, "Distinct"), header(MODEL, "Distinct")]),
        rule(limit(50, unit="Year"), headers=[header(USER, "Exact", "bob")]),
        rule(limit(7, shadow=True, unit="Year")),
    )
)


@pytest.fixture(scope="module")
def valkey() -> Iterator[ValkeyProcess]:
    """A Valkey, with other things in it than counters of ours."""
    with ValkeyProcess() as running:
        yield running


@pytest.fixture
def client(valkey: ValkeyProcess) -> Iterator[Any]:
    """Its client; it begins empty but for what is none of ours."""
    host, _, port = valkey.address.rpartition(":")
    with redis.Redis(host=host, port=int(port), decode_responses=True) as connected:
        connected.flushall()
        connected.hset("default/route_hash", mapping={"a": "b"})
        connected.set("default/route_text", "x")
        connected.set("default/other_limit_x_1", 5)
        yield connected


def key(llmroute: Run, place: int, user: str, model: str, target: str = "envoy-gateway") -> str:
    """What the counter of a limit is called."""
    command = ("explain", "-", "--user", user, "--model", model, "--target", target, "--format", "json")
    (record,) = json.loads(llmroute(*command, stdin=POLICY).stdout)
    return str(record["limits"][place - 1]["key"])


def records(llmroute: Run, valkey: ValkeyProcess, *options: str) -> list[tuple[int, dict[str, str], int, int, str]]:
    """Limit, values, used, left and state."""
    done = llmroute("status", "-", "--redis", valkey.address, "--format", "json", *options, stdin=POLICY)
    assert (done.returncode, done.stderr) == (0, "")
    return [(r["limit"], r["values"], r["used"], r["left"], r["state"]) for r in json.loads(done.stdout)]


@pytest.mark.parametrize("target", ["envoy-gateway", "envoy"])
def test_counters_of_a_redis(llmroute: Run, valkey: ValkeyProcess, client: Any, target: str) -> None:
    """By user and model; another window's, another policy's and what is no number are left out."""
    alice, again, bob, shadow = (
        key(llmroute, *which, target)
        for which in ((1, "alice", "m_1"), (1, "alice", "n"), (2, "bob", "m"), (3, "x", "y"))
    )
    client.mset({alice: 1200, again: 5, bob: 50, shadow: 3, alice.rpartition("_")[0] + "_0": 9})
    options = ("--target", target)
    assert records(llmroute, valkey, *options) == [
        (1, {USER: "alice", MODEL: "m_1"}, 1200, 0, "refused"),
        (1, {USER: "alice", MODEL: "n"}, 5, 995, "open"),
        (2, {}, 50, 0, "refused"),
        (3, {}, 3, 4, "open"),
    ]
    assert [r[2] for r in records(llmroute, valkey, *options, "--user", "alice")] == [1200, 5]
    assert [r[2] for r in records(llmroute, valkey, *options, "--user", "bob")] == [50], "the rule names him"
    assert [r[2] for r in records(llmroute, valkey, *options, "--user", "alice", "--model", "n")] == [5]
    assert records(llmroute, valkey, *options, "--model", "other") == []


def test_status_text(llmroute: Run, valkey: ValkeyProcess, client: Any) -> None:
    """A table for each limit; the whole is quiet where nothing is counted."""
    empty = llmroute("status", "-", "--redis", valkey.address, stdin=POLICY)
    assert empty.stdout.splitlines() == ["LLMRoute default/route", "  no counter of a running window"]
    client.set(key(llmroute, 1, "alice", "m"), 1200)
    lines = llmroute("status", "-", "--redis", f"redis://{valkey.address}/0", stdin=POLICY).stdout.splitlines()
    assert lines[2] == f"  1. 1000 tokens per year for each {USER} and {MODEL}"
    assert lines[3].split() == ["who", "used", "of", "left", "ends", "in", "state"]
    assert lines[4].strip().startswith(f"{USER} alice, {MODEL} m  1200  1000     0  ")
    assert lines[4].endswith(" s  refused")


def test_why_a_request_is_refused(llmroute: Run, valkey: ValkeyProcess, client: Any) -> None:
    """``explain --redis``: which limits refuse it, and the numbers of all that apply; a shadow refuses nobody."""
    alice, all_ = key(llmroute, 1, "alice", "m"), key(llmroute, 3, "alice", "m")
    asking = ("explain", "-", "--user", "alice", "--model", "m", "--redis", valkey.address)
    lines = llmroute(*asking, stdin=POLICY).stdout.splitlines()
    assert lines[3].endswith("no limit that applies is used up; nothing is counted under the names of this --target")
    client.mset({alice: 999, all_: 8})
    lines = llmroute(*asking, stdin=POLICY).stdout.splitlines()
    assert lines[3] == "  now:     no limit that applies is used up"
    client.set(alice, 1037)
    lines = llmroute(*asking, stdin=POLICY).stdout.splitlines()
    assert lines[3] == "  now:     refused, by limit 1"
    assert [line.strip() for line in lines if "used:" in line] == [
        "used:      1037 of 1000, 0 left: refused",
        "used:      8 of 7, 0 left: would refuse",
    ]
    (record,) = json.loads(llmroute(*asking, "--format", "json", stdin=POLICY).stdout)
    numbers = [(limit["applies"], limit.get("used"), limit.get("state")) for limit in record["limits"]]
    assert numbers == [(True, 1037, "refused"), (False, None, None), (True, 8, "would refuse")]


def test_watching(
    program: list[str], environment: dict[str, str], llmroute: Run, valkey: ValkeyProcess, client: Any, tmp_path: Any
) -> None:
    """Each look is a line of JSON; it shows what has been counted since, and stops cleanly."""
    (tmp_path / "p.yaml").write_text(POLICY, encoding="utf-8")
    name = key(llmroute, 1, "alice", "m")
    options = ["--redis", valkey.address, "--watch", "--interval", "0.1", "--format", "json"]
    command = [*program, "status", str(tmp_path / "p.yaml"), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stdout
    with interrupted(process):
        assert json.loads(process.stdout.readline()) == []
        client.set(name, 37)
        seen = next(found for line in process.stdout if (found := json.loads(line)))
        assert [record["used"] for record in seen] == [37]


def test_the_embedded_service(program: list[str], environment: dict[str, str], llmroute: Run) -> None:
    """``run --status`` says where; the counter is what was charged, and there is nothing else to ask there."""
    with ScriptedUpstream() as upstream:
        options = ["--listen", "127.0.0.1:0", "--upstream", upstream.url, "--status", "127.0.0.1:0"]
        command = [*program, "run", QUICKSTART, *options]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        try:
            assert process.stdout
            url, shown = (process.stdout.readline().strip().removeprefix(prefix) for prefix in ("ready: ", "status: "))
            body = {"model": "gpt-4o-mini", "messages": []}
            answer = httpx.post(f"{url}/v1/chat/completions", json=body, headers={USER: "alice"}, trust_env=False)
            charged = answer.json()["usage"]["total_tokens"]
            assert charged
            found: list[dict[str, Any]] = []
            while not found or found[0]["used"] == 0:  # the charge lands just after the answer
                done = llmroute("status", QUICKSTART, "--service", shown, "--format", "json")
                assert (done.returncode, done.stderr) == (0, "")
                found = json.loads(done.stdout)
            assert [(r["used"], r["left"], r["values"], r["state"]) for r in found] == [
                (charged, 0, {USER: "alice"}, "refused")
            ]
            assert httpx.get(f"{shown}/other", trust_env=False).status_code == 404
            assert httpx.delete(f"{shown}/counters", trust_env=False).status_code == 501
        finally:
            process.terminate()
            process.communicate(timeout=20)
        assert process.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["status", "-"], 2, "say where the counters are: either --redis HOST:PORT or --service URL"),
        (["status", "-", "--redis", "a:1", "--service", "http://b:1"], 2, "say where the counters are: "),
        (["status", "-", "--redis", "host:port"], 2, "--redis: give HOST:PORT, or redis://"),
        (["status", "-", "--redis", "ftp://host:1"], 2, "--redis: give HOST:PORT, or redis://"),
        (["status", "-", "--redis", "redis://:secret@127.0.0.1:1/0"], 1, "the Redis at 127.0.0.1:1 does not answer"),
        (["status", "-", "--service", "127.0.0.1:1"], 2, "--service 127.0.0.1:1: give the URL that"),
        (["status", "-", "--service", "http://127.0.0.1:1"], 1, "no llmroute run --status answers at 127.0.0.1:1: "),
        (["reset", "a_b_1", "--redis", "127.0.0.1:1", "--yes"], 1, "the Redis at 127.0.0.1:1 does not answer"),
        (["reset", "everything", "--redis", "127.0.0.1:1"], 2, "everything is no counter: "),
        (["run", "-", "--ratelimit", "127.0.0.1:1", "--status", "127.0.0.1:0"], 2, "--status shows the embedded service"),
        (["run", "-", "--status", "here"], 2, "--status: 'here' is not HOST:PORT"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked(llmroute: Run, arguments: list[str], code: int, says: str) -> None:
    """One line, and no password in it."""
    done = llmroute(*arguments, stdin=POLICY)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (code, "", 1)
    assert done.stderr.startswith(f"llmroute: {says}")
    assert "secret" not in done.stderr


def test_reset(llmroute: Run, valkey: ValkeyProcess, client: Any) -> None:
    """It asks, and a no changes nothing; a yes deletes this one counter."""
    one, other = key(llmroute, 1, "alice", "m"), key(llmroute, 1, "alice", "n")
    client.mset({one: 37, other: 5})
    asked = llmroute("reset", one, "--redis", valkey.address, stdin="n\n")
    assert (asked.returncode, asked.stdout) == (1, "")
    assert f"{one} has 37. Back to zero?" in asked.stderr
    assert asked.stderr.endswith("llmroute: nothing was changed\n")
    assert client.get(one) == "37"
    done = llmroute("reset", one, "--redis", valkey.address, stdin="y\n")
    assert (done.returncode, done.stdout) == (0, f"{one} had 37 and counts from zero\n")
    assert (client.get(one), client.get(other)) == (None, "5")


def test_reset_without_asking(llmroute: Run, valkey: ValkeyProcess, client: Any) -> None:
    """``--yes``; without an answer nothing happens."""
    one = key(llmroute, 1, "alice", "m")
    client.set(one, 37)
    silent = llmroute("reset", one, "--redis", valkey.address)
    assert (silent.returncode, client.get(one)) == (1, "37")
    assert "Traceback" not in silent.stderr
    assert llmroute("reset", one, "--redis", valkey.address, "--yes").returncode == 0
    assert client.get(one) is None


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("a_b_1", "there is no counter a_b_1: "),
        ("text_b_1", "text_b_1 holds no number"),
        ("hash_b_1", "hash_b_1 holds no number"),
    ],
)
def test_reset_of_what_is_no_counter(llmroute: Run, valkey: ValkeyProcess, client: Any, name: str, says: str) -> None:
    """Nothing is deleted."""
    client.set("text_b_1", "x")
    client.hset("hash_b_1", mapping={"a": "b"})
    before = set(client.keys())
    done = llmroute("reset", name, "--redis", valkey.address, "--yes")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"llmroute: {says}")
    assert set(client.keys()) == before
