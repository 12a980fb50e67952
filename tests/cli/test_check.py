"""``llmroute check`` on the installed wheel: the bound on overshoot, and what an edit does to live counters."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.policies import MODEL, header, limit, route, rule, text, with_spec

A, B = (rule(limit(q), headers=[header("x-team", "Exact", str(q))]) for q in (10, 20))
BOUNDED = with_spec(route(A), admission={"maxTokens": 100, "maxInFlight": 4})


def test_the_bound_on_overshoot(llmroute: Run) -> None:
    """One line for each route with token limits, beside what else there is to say; none among machines' records."""
    done = llmroute("check", "-", stdin=text(BOUNDED, route(name="other", other=[rule(limit(5, "Request"))])))
    bound, warning = (": note: overshoot of token limits (PostPaid, Async): ", ": warning LR018: ")
    lines = done.stdout.splitlines()
    assert [warning in line for line in lines].count(True) == 1
    assert [line for line in lines if bound in line] == [lines[-2]]
    assert lines[-1] == "2 warnings, 1 note (LLMRoutes: 2, limits: 2)"
    assert lines[-2] == f"<stdin>:4:9{bound}at most 8 x (100 + prompt) tokens for each Envoy and backend"
    records = json.loads(llmroute("check", "--format", "json", "-", stdin=text(BOUNDED)).stdout)
    assert [record["code"] for record in records] == ["LR053", "LR052"], "in the order of the lines"


def test_a_policy_with_errors_has_no_bound(llmroute: Run) -> None:
    """The errors are enough."""
    done = llmroute("check", "-", stdin=text(with_spec(BOUNDED, identity={"header": "x_user"})))
    assert done.returncode == 1
    assert "LR043" in done.stdout
    assert "note:" not in done.stdout


@pytest.mark.parametrize(
    ("target", "expected"), [("envoy-gateway", ["LR045", "LR046"]), ("envoy", []), ("compose", [])]
)
def test_an_edit_that_moves_counters(llmroute: Run, tmp_path: Path, target: str, expected: list[str]) -> None:
    """Warnings, with both places, where the target knows a counter by its limit's place; none are errors."""
    backend = {
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "Backend",
        "metadata": {"name": "llm", "namespace": "default"},
        "spec": {"endpoints": [{"ip": {"address": "192.0.2.1", "port": 80}}]},
    }
    (tmp_path / "old.yaml").write_text(text(route(A), backend), encoding="utf-8")
    (tmp_path / "new.yaml").write_text(text(route(B, A), backend), encoding="utf-8")
    options = ["--target", target, "--against", "old.yaml", "--format", "json"]
    done = llmroute("check", "new.yaml", *options)
    records = [record for record in json.loads(done.stdout) if record["severity"] == "warning"]
    assert done.returncode == 0
    assert [(r["code"], r["severity"], r["file"]) for r in records] == [(c, "warning", "new.yaml") for c in expected]
    assert all(" at old.yaml:" in r["message"] for r in records)
    assert "warning" not in llmroute("check", "old.yaml", *options).stdout


def test_an_older_policy_with_errors(llmroute: Run, tmp_path: Path) -> None:
    """It cannot be in force: one line says what is wrong with it."""
    (tmp_path / "old.yaml").write_text(text(route(rule(limit(1), headers=[header(MODEL, "Exact")]))), encoding="utf-8")
    done = llmroute("check", "-", "--against", "old.yaml", stdin=text(route(A)))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("llmroute: --against needs a policy without errors: old.yaml:")
    assert done.stderr.count("\n") == 1


SHADOWED = text(route(rule(limit(10, unit="Hour"), limit(10, unit="Day"))))
UNVERIFIED = text(route(rule(limit(10), headers=[header("x-user-id", "Exact", "u1")])))
BAD = text(route(rule(limit(1), headers=[header(MODEL, "Exact")])))
GOOD = text(route(rule(limit(1))))


@pytest.mark.parametrize(
    ("policy", "codes"),
    [(GOOD, [0, 0, 0]), (UNVERIFIED, [0, 0, 1]), (SHADOWED, [0, 1, 1]), (BAD, [1, 1, 1])],
    ids=["good", "note", "warning", "error"],
)
def test_what_fails(llmroute: Run, policy: str, codes: list[int]) -> None:
    """``--fail-on``; without it errors alone."""
    options: list[list[str]] = [[], ["--fail-on", "warning"], ["--fail-on", "note"]]
    assert [llmroute("check", "-", *more, stdin=policy).returncode for more in options] == codes


@pytest.mark.parametrize("form", ["json", "sarif", "github"])
def test_what_fails_in_every_format(llmroute: Run, form: str) -> None:
    """The same, and nothing on standard error."""
    done = llmroute("check", "-", "--format", form, "--fail-on", "warning", stdin=SHADOWED)
    assert (done.returncode, "LR051" in done.stdout, done.stderr) == (1, True, "")


def test_text(llmroute: Run) -> None:
    """The line with a caret, hint and link, and in the end how many."""
    done = llmroute("check", "-", stdin=SHADOWED)
    first, excerpt, caret, hint, link, *_, last = done.stdout.splitlines()
    assert first.startswith(
        "<stdin>:18:23: warning LR051: 10 tokens per hour are never used up before 10 tokens per day"
    )
    assert excerpt == "  18 |             quantity: 10"
    assert caret == "     | " + " " * 22 + "^"
    assert hint.startswith("  hint: remove it")
    assert link == "  see docs/diagnostics.md#lr051-another-limit-is-always-reached-first"
    assert last == "1 warning (LLMRoutes: 1, limits: 2)"
    assert llmroute("check", "-", stdin=GOOD).stdout.splitlines()[-1] == "no findings (LLMRoutes: 1, limits: 1)"


def test_a_reason_allows(llmroute: Run) -> None:
    """The finding is gone from text and JSON, and counted; SARIF has it as suppressed."""
    lines = SHADOWED.splitlines()
    lines[17] += " # llmroute: allow LR051 because it is Tuesday"
    allowed = "\n".join(lines)
    assert llmroute("check", "-", "--fail-on", "warning", stdin=allowed).stdout.splitlines()[-1] == (
        "no findings (LLMRoutes: 1, limits: 2, allowed by comments: 1)"
    )
    assert json.loads(llmroute("check", "-", "--format", "json", stdin=allowed).stdout) == []
    log: dict[str, Any] = json.loads(llmroute("check", "-", "--format", "sarif", stdin=allowed).stdout)
    (result,) = log["runs"][0]["results"]
    assert result["suppressions"] == [{"kind": "inSource", "justification": "it is Tuesday"}]


def test_annotations(llmroute: Run) -> None:
    """A line for each finding, and nothing at all for none."""
    assert llmroute("check", "-", "--format", "github", stdin=SHADOWED).stdout.startswith(
        "::warning file=<stdin>,title=LR051 "
    )
    assert llmroute("check", "-", "--format", "github", stdin=GOOD).stdout == ""
