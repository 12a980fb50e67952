"""What LiteLLM is given for a policy, and what it holds for a request: the pure parts of its adapter."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from e2e.litellm import installation
from e2e.litellm.holds import hold
from e2e.litellm.proxy import Around, Setting, configuration
from e2e.litellm.translation import Limits, translate
from e2e.stacks.protocol import Unavailable
from llmroute import names
from llmroute.conformance.adapters.plain import plain_plan
from llmroute.conformance.adapters.protocol import Unfit
from llmroute.conformance.case import Request
from llmroute.conformance.policies import USERS, header, limit, per_user, route, rule, text

ONE_MODEL = header(names.MODEL_HEADER, "Exact", "gpt-4o")
EACH_MODEL = header(names.MODEL_HEADER, "Distinct")
EMPTY: dict[str, Any] = {"generation": "g", "api_key": {}, "team": {}, "model_per_key": {}, "model_per_project": {}}
LONG = [{"role": "user", "content": [{"type": "text", "text": "x" * 4000}]}]


def translated(*rules: dict[str, Any]) -> Limits:
    """What LiteLLM gets for a policy of these rules."""
    return translate(plain_plan(text(route(*rules)), 1))


@pytest.mark.parametrize(
    ("selected", "table", "values", "counter"),
    [
        (USERS, {"api_key": {"": {"tpm": 10}}}, ("amy",), "{api_key:g-amy}:tokens"),
        ([], {"team": {"": {"tpm": 10}}}, (), "{team:g}:tokens"),
        ([ONE_MODEL], {"model_per_project": {"gpt-4o": {"tpm": 10}}}, (), "{model_per_project:g:gpt-4o}:tokens"),
        ([EACH_MODEL], {"model_per_project": {"": {"tpm": 10}}}, ("m",), "{model_per_project:g:m}:tokens"),
        (
            [ONE_MODEL, *USERS],
            {"model_per_key": {"gpt-4o": {"tpm": 10}}},
            ("amy",),
            "{model_per_key:g-amy:gpt-4o}:tokens",
        ),
        ([EACH_MODEL, *USERS], {"model_per_key": {"": {"tpm": 10}}}, ("m", "amy"), "{model_per_key:g-amy:m}:tokens"),
    ],
    ids=["user", "all", "model", "each-model", "model-of-user", "each-model-of-user"],
)
def test_whose_a_limit_is(
    selected: list[dict[str, Any]], table: dict[str, Any], values: tuple[str, ...], counter: str
) -> None:
    """A key's, a team's, a model's of a key or of a project; and the counter that LiteLLM keeps of it."""
    limits = translated(rule(limit(10), headers=selected))
    assert limits.table("g") == EMPTY | table
    assert limits.given[0].counter("g", values) == counter


def test_requests_beside_tokens() -> None:
    """Of one key both; their counters are apart."""
    limits = translated(rule(limit(10), limit(3, "Request"), headers=USERS))
    assert limits.table("g")["api_key"] == {"": {"tpm": 10, "rpm": 3}}
    assert [given.counter("g", ("amy",)) for given in limits.given] == [
        "{api_key:g-amy}:tokens",
        "{api_key:g-amy}:requests",
    ]


@pytest.mark.parametrize(
    ("policy", "window", "counts"),
    [
        (per_user(10, unit="Minute"), 60, "total"),
        (per_user(10, unit="Hour", token="Prompt"), 3600, "input"),
        (per_user(10, unit="Day", token="Completion"), 86_400, "output"),
        (per_user(10, unit="Hour", kind="Request"), 3600, "total"),
        (text(route()), 60, "total"),
    ],
)
def test_what_is_said_once(policy: str, window: int, counts: str) -> None:
    """How long windows are, and which tokens count."""
    limits = translate(plain_plan(policy, 1))
    assert (limits.window, limits.counts) == (window, counts)


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        ([rule(limit(10), limit(99, unit="Day"), headers=USERS)], "LiteLLM has windows of one length, not hour and day"),
        (
            [rule(limit(10, token="Prompt"), limit(10), headers=USERS)],
            "LiteLLM counts one kind of tokens, not input and total",
        ),
        ([rule(limit(10, weights={"prompt": 2, "completion": 1}), headers=USERS)], "LiteLLM has no prices for kinds of tokens"),
        ([rule(limit(10, shadow=True), headers=USERS)], "LiteLLM has no limit that never refuses"),
        ([rule(limit(10), headers=USERS), rule(limit(9), headers=USERS)], "LiteLLM has one limit of tokens for each api_key, not two"),
        ([rule(limit(10), headers=[header("x-org", "Distinct")])], "LiteLLM has no limit of x-org by Distinct"),
        (
            [rule(limit(10), headers=[header(names.USER_HEADER, "Exact", "amy")])],
            "LiteLLM has no limit of x-user-id by Exact",
        ),
        (
            [rule(limit(10), headers=[header(names.MODEL_HEADER, "RegularExpression", "gpt.*")])],
            f"LiteLLM has no limit of {names.MODEL_HEADER} by RegularExpression",
        ),
    ],
)  # fmt: skip
def test_what_it_has_no_words_for(rules: list[dict[str, Any]], reason: str) -> None:
    """Nothing is left out in silence."""
    with pytest.raises(Unfit) as unfit:
        translated(*rules)
    assert str(unfit.value) == reason


@pytest.mark.parametrize(
    ("quantity", "request_", "held"),
    [
        (13, Request(), 1 + 3),
        (2, Request(), 1 + 1),
        (1_000_000, Request(), 1 + 1024),
        (1000, Request(body={"max_tokens": 99}), 1 + 99),
        (1000, Request(body={"max_tokens": 0}), 1),
        (1000, Request(body={"n": 3}), 1 + 3 * 250),
        (1000, Request(body={"messages": LONG}), 1000 + 1000),
        (1000, Request(body={"messages": []}), 1),
        (1000, Request(body=b"no JSON"), 1),
        (41, Request(path="/v1/responses", body=b'{"model":"m","input":"hello"}'), 1 + 16),
        (1000, Request(path="/v1/responses", body=b'{"input":"hello","max_output_tokens":5}'), 1 + 16),
        (1000, Request(path="/v1/embeddings", body=b'{"input":["hello","world!!"]}'), 3),
        (100, Request(path="/v1/completions", body=b'{"prompt":"hello"}'), 1 + 25),
        (100, Request(path="/v1beta/models/m:generateContent", body=b'{"contents":[{"parts":[{"text":"hello"}]}]}'), 1 + 25),
    ],
)  # fmt: skip
def test_holds(quantity: int, request_: Request, held: int) -> None:
    """Characters / 4, and the answer: as long as it may be, or a quarter of the limit, 1,024 at the most."""
    assert hold(quantity, request_) == held


def test_configuration(tmp_path: Path) -> None:
    """Every model leads to the upstream, nothing is tried again, and what cannot be counted is refused."""
    config = configuration(Setting(60, "output"), Around(7, 8, tmp_path))
    assert {entry["litellm_params"]["api_base"] for entry in config["model_list"]} == {
        "http://127.0.0.1:7",
        "http://127.0.0.1:7/v1",
    }
    assert config["litellm_settings"]["num_retries"] == config["router_settings"]["num_retries"] == 0
    assert config["litellm_settings"]["cache_params"]["port"] == config["router_settings"]["redis_port"] == 8
    general = config["general_settings"]
    assert (general["token_rate_limit_type"], general["fail_closed_rate_limit_enforcement"]) == ("output", True)


def test_it_cannot_be_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One line says what does not go, and nothing half made is taken for it later."""

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(
            command, int("pip" in command), "", "first\nERROR: No matching distribution\n"
        )

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("subprocess.run", run)
    with pytest.raises(Unavailable) as missing:
        installation.environment()
    assert str(missing.value) == (
        "LiteLLM cannot be installed from the package index; -m pip install says: ERROR: No matching distribution"
    )
    assert list((tmp_path / "llmroute" / "litellm").iterdir()) == []
