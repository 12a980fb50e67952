"""``explain`` and ``diff`` on the installed wheel."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.policies import MODEL, USER, header, limit, route, rule, text, with_spec

POLICY = route(
    rule(limit(1000, unit="Year"), headers=[header(USER, "Distinct")]),
    rule(limit(5, "Request", "Year"), headers=[header(MODEL, "Exact", "dear")]),
    rule(limit(7, shadow=True, unit="Year")),
)
TENANT = {"type": "Dynamic", "name": "some.filter", "paths": [{"key": "sso"}, {"key": "org"}]}


def test_text(llmroute: Run) -> None:
    """The request, where it goes, and of each limit whether it applies and everything that follows."""
    done = llmroute("explain", "-", "--model", "m", "--user", "alice", "--target", "envoy", stdin=text(POLICY))
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[:3] == [
        "LLMRoute default/route (<stdin>:4:9)",
        f"  request: {MODEL} m, {USER} alice",
        "  goes to: llm",
    ]
    assert f"  1. 1000 tokens per year for each {USER} (<stdin>:21:23)" in lines
    assert "     charged:   just after the answer's end: the answer's total tokens" in lines
    assert "     overshoot: (its answer + prompt) tokens for each request in flight" in lines
    assert "     refusal:   429 from 1000 on" in lines
    assert f"     does not apply: {MODEL} is m, not dear" in lines
    counter, _ = (line for line in lines if line.startswith("     counter:   default/route_limit_llm/tokens/year/"))
    assert f"_{USER}_alice_" in counter
    assert lines[-1] == "     refusal:   never"


def test_json(llmroute: Run) -> None:
    """The same in records."""
    command = ("explain", "-", "--model", "dear", "--user", "alice", "--prompt", "9", "--format", "json")
    (record,) = json.loads(llmroute(*command, stdin=text(POLICY)).stdout)
    assert {k: v for k, v in record.items() if k != "limits"} == {
        "route": "route",
        "namespace": "default",
        "backend": "llm",
        "headers": {MODEL: "dear", USER: "alice"},
    }
    first, second, third = record["limits"]
    assert first["key"].startswith("default/route_default/route/rule/0_default/route/rule/0_rule-0-match-0_alice_")
    assert second["charges"] == [{"when": "on admission", "what": "1"}]
    assert second["overshoot"] == {"says": "none", "tokens": 0}
    assert json.loads(second["refusal"]["body"])["error"]["type"] == "requests"
    assert second["refusal"]["headers"]["x-should-retry"] == "false"
    assert (third["refusal"], third["shadow"], third["applies"]) == (None, True, True)


def test_a_request_that_meets_no_limit(llmroute: Run) -> None:
    """Both ways are told: turned away before, and admitted without one."""
    one = route(rule(limit(5), headers=[header(MODEL, "Exact", "dear")]))
    assert (
        llmroute("explain", "-", stdin=text(one))
        .stdout.splitlines()[-1]
        .endswith("the request is admitted and not counted")
    )
    rejecting = with_spec(one, identity={"onMissing": "Reject"})
    done = llmroute("explain", "-", stdin=text(rejecting))
    assert done.stdout.splitlines()[1].startswith(f"  401: nobody is named in {USER}")
    (record,) = json.loads(llmroute("explain", "-", "--format", "json", stdin=text(rejecting)).stdout)
    assert (record["status"], record["limits"]) == (401, [])


def test_several_routes(llmroute: Run) -> None:
    """A backend belongs to one; without one each has something to say."""
    both = text(route(name="a", one=[rule(limit(5))]), route(name="b", two=[rule(limit(5))]))
    assert llmroute("explain", "-", "--backend", "two", stdin=both).stdout.count("LLMRoute ") == 1
    assert llmroute("explain", "-", stdin=both).stdout.count("LLMRoute ") == 2


def test_metadata_and_headers(llmroute: Run) -> None:
    """By the path that the rule has; a header by its name, in any case."""
    policy = text(route(rule(limit(5), metadata=[TENANT], headers=[header("x-team", "Distinct")])))
    command = ("explain", "-", "--metadata", "sso.org=acme", "--header", "X-Team: red", "--format", "json")
    (record,) = json.loads(llmroute(*command, stdin=policy).stdout)
    assert record["headers"] == {MODEL: "unknown", USER: "anonymous", "sso.org": "acme", "x-team": "red"}
    assert record["limits"][0]["key"].rpartition("_")[0].endswith("_rule-0-match-0_red_rule-0-match-1_acme")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--header", "x-team"], "--header x-team: give NAME:VALUE"),
        (["--metadata", "sso.org"], "--metadata sso.org: give NAME=VALUE"),
        (
            ["--redis", "127.0.0.1:1", "--service", "http://127.0.0.1:1"],
            "say where the counters are: either --redis HOST:PORT or --service URL",
        ),
        (["--metadata", "sso.team=x"], "--metadata sso.team: no rule asks for it; there are: none"),
    ],
)
def test_usage(llmroute: Run, arguments: list[str], says: str) -> None:
    """Exit code 2 and one line."""
    done = llmroute("explain", "-", *arguments, stdin=text(POLICY))
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"llmroute: {says}\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ["explain", "-"],
        ["diff", "-", "good.yaml"],
        ["diff", "good.yaml", "-"],
        ["status", "-", "--redis", "127.0.0.1:1"],
    ],
)
def test_a_policy_with_errors(llmroute: Run, tmp_path: Path, arguments: list[str]) -> None:
    """They are shown, and nothing is told of it."""
    (tmp_path / "good.yaml").write_text(text(POLICY), encoding="utf-8")
    done = llmroute(*arguments, stdin=text(route(rule(limit(1), headers=[header(USER, "Exact")]))))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("<stdin>:")
    assert "error LR011" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_policy_without_addresses(llmroute: Run) -> None:
    """Where a backend is does not matter here."""
    assert llmroute("explain", "-", "--target", "envoy", stdin=text(POLICY)).returncode == 0


def diff(llmroute: Run, folder: Path, old: dict[str, Any], new: dict[str, Any], *options: str) -> str:
    """What is said of two policies; it is no failure that they differ."""
    (folder / "old.yaml").write_text(text(old), encoding="utf-8")
    (folder / "new.yaml").write_text(text(new), encoding="utf-8")
    done = llmroute("diff", "old.yaml", "new.yaml", *options)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


A, B, C = (rule(limit(q), headers=[header(MODEL, "Exact", name)]) for q, name in ((10, "a"), (20, "b"), (5, "a")))


def test_diff(llmroute: Run, tmp_path: Path) -> None:
    """Limits, terms and live counters, each with its place."""
    said = diff(llmroute, tmp_path, route(A), with_spec(route(B, C), admission={"maxTokens": 9}))
    assert said.splitlines() == [
        "LLMRoute default/route",
        f"  added      20 tokens per hour where {MODEL} is b (new.yaml:22:23)",
        f"  tightened  10 tokens per hour where {MODEL} is a (old.yaml:22:23) -> 5 tokens per hour where {MODEL} is a (new.yaml:30:23); counts from zero",
        "  changed    spec.admission.maxTokens: nothing -> 9",
        "  live counters on envoy-gateway:",
        "    changes hands: 20 tokens per hour would go on with the counter of 10 tokens per hour at old.yaml:22:23: the rate limit service takes the one for the other (new.yaml:22:23)",
        "    restarts: 5 tokens per hour, before at old.yaml:22:23, would count from zero: its counter stays behind (new.yaml:30:23)",
    ]
    on_envoy = diff(llmroute, tmp_path, route(A), route(B, C), "--target", "envoy")
    assert "live counters" not in on_envoy
    assert "counts from zero" not in on_envoy
    assert diff(llmroute, tmp_path, route(A), route(A)) == "no difference in limits, terms or counters\n"


def test_diff_for_machines(llmroute: Run, tmp_path: Path) -> None:
    """One record for each route that differs."""
    (record,) = json.loads(diff(llmroute, tmp_path, route(A), route(B, C), "--format", "json"))
    assert (record["namespace"], record["route"], record["change"], record["terms"]) == ("default", "route", None, [])
    assert [(each["change"], each["restarts"]) for each in record["limits"]] == [("added", False), ("tightened", True)]
    assert [(each["code"], each["fate"]) for each in record["counters"]] == [
        ("LR045", "changes hands"),
        ("LR046", "restarts"),
    ]
    assert json.loads(diff(llmroute, tmp_path, route(A), route(A), "--format", "json")) == []
