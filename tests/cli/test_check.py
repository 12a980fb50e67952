"""``llmroute check`` on the installed wheel: the bound on overshoot, and what an edit does to live counters."""

from __future__ import annotations

import json
from pathlib import Path

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
    assert [bound in line for line in lines] == [False, True]
    assert warning in lines[0]
    assert lines[1] == f"<stdin>:4:9{bound}at most 8 x (100 + prompt) tokens for each Envoy and backend"
    assert json.loads(llmroute("check", "--format", "json", "-", stdin=text(BOUNDED)).stdout) == []


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
    records = json.loads(done.stdout)
    assert done.returncode == 0
    assert [(r["code"], r["severity"], r["file"]) for r in records] == [(c, "warning", "new.yaml") for c in expected]
    assert all(" at old.yaml:" in r["message"] for r in records)
    assert json.loads(llmroute("check", "old.yaml", *options).stdout) == []


def test_an_older_policy_with_errors(llmroute: Run, tmp_path: Path) -> None:
    """It cannot be in force: one line says what is wrong with it."""
    (tmp_path / "old.yaml").write_text(text(route(rule(limit(1), headers=[header(MODEL, "Exact")]))), encoding="utf-8")
    done = llmroute("check", "-", "--against", "old.yaml", stdin=text(route(A)))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("llmroute: --against needs a policy without errors: old.yaml:")
    assert done.stderr.count("\n") == 1
