"""Every example, driven until it refuses: 429, the upstream not reached, and the counters as the policy says.

Quantities are those of the files: the upstream reports as much as it takes. Where a file says who signs tokens, the keys
are replaced by ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from e2e import tokens
from e2e.suite import RunCase
from llmroute import names
from llmroute.conformance.case import ALL, USER, Case, Profile, Send, Subject
from llmroute.conformance.rows import denied, ok, refused, reporting, usage
from llmroute.conformance.upstream import Script
from llmroute.render.yaml import dump, join
from tools.examples import examples

OPENAI: Final = {names.BACKEND_HEADER: "openai"}
SELFHOSTED: Final = {names.BACKEND_HEADER: "selfhosted"}
TEAM_A: Final[dict[str, Any]] = {
    "headers": {"authorization": "Bearer example-key-of-team-a", names.USER_HEADER: "team-b"},
    "whose": {"client": "team-a"},
}
TEAM_B: Final[dict[str, Any]] = {"headers": {"x-api-key": "example-key-of-team-b"}, "whose": {"client": "team-b"}}
ABSENT: Final = Script(usage="absent")


@dataclass(frozen=True)
class Drive:
    """What is sent, and whose counter each limit of the example moves."""

    subjects: Sequence[Subject]
    rows: Sequence[Send]


def bearer(**claims: Any) -> dict[str, Any]:
    """Of a row: a token with these claims, each of which may be what is counted apart."""
    return {"headers": {"authorization": f"Bearer {tokens.token(**claims)}"}, "whose": claims}


CACHED: Final = {
    **usage(11_000, 10_000, 1_000),
    "prompt_tokens_details": {"cached_tokens": 8_000},
}
"""2,000 + 800 + 4,000 in prices."""

DRIVES: Final[Mapping[str, Drive]] = {
    "ratelimit-demo": Drive([USER], [ok(37, model="hf-opt-125m-chat"), refused(model="hf-opt-125m-chat")]),
    "policy-tests": Drive(
        [USER, USER],
        [ok(5_000, 5_000, 5_000, model="gpt-4o"), refused(model="gpt-4o"), ok(15_000, 15_000, 0), refused()],
    ),
    "quickstart": Drive([USER], [ok(10), refused(), ok(1000, 0, model="other")]),
    "block-unknown": Drive([USER, ALL], [refused(0, 1, model=""), ok(10, 10, 0), refused()]),
    "model-name-distinct": Drive(
        [("model", "user")], [ok(10, model="a"), refused(model="a"), ok(10, model="b"), refused(model="b")]
    ),
    "header-match-exact": Drive(
        [ALL],
        [ok(10, headers={names.USER_HEADER: "user1"}), refused(headers={names.USER_HEADER: "user1"}), ok(10, 0)],
    ),
    "multiple-backends": Drive(
        [USER, USER],
        [ok(100, 100, 0, headers=OPENAI), refused(headers=OPENAI), ok(1000, 0, 1000, headers=SELFHOSTED),
         refused(headers=SELFHOSTED)],
    ),
    "multiple-limits": Drive([USER, USER], [ok(500, 1, 500), refused(1, 0)]),
    "regular-expression": Drive([USER], [ok(1000, model="gpt-4.1"), refused(model="gpt-4o"), ok(5, 0, model="o1")]),
    "usage-policy": Drive([USER], [ok(ABSENT, 50), ok(9_950, left=9_950), refused()]),
    "jwt-claim": Drive(
        [("tenant",)],
        [ok(10, **bearer(tenant="acme")), refused(**bearer(tenant="acme", sub="another")),
         ok(10, **bearer(tenant="other")), ok(10), refused()],
    ),
    "jwt-identity": Drive(
        [("sub",)],
        [denied(401), ok(10_000, **bearer(sub="amy")), refused(**bearer(sub="amy")),
         ok(1, **bearer(sub="ben"))],
    ),
    "tiers": Drive(
        [("sub",), ("sub",)],
        [
            ok(50_000, 50_000, 50_000, left=50_000, **bearer(sub="free", plan="free")),
            refused(**bearer(sub="free", plan="free")),
            ok(50_000, 50_000, 50_000, **bearer(sub="none")),
            refused(**bearer(sub="none")),
            ok(999_999, 999_999, 0, left=1_000_000, **bearer(sub="paid", plan="paid")),
            ok(1, 1, 0, left=1, **bearer(sub="paid", plan="paid")),
            refused(**bearer(sub="paid", plan="paid")),
        ],
    ),
    "api-keys": Drive(
        [("client",)],
        [denied(401), ok(10_000, **TEAM_A), refused(**TEAM_A),
         ok(1, **TEAM_B)],
    ),
    "expensive-model": Drive(
        [USER, USER],
        [ok(20_000, 20_000, 20_000, left=20_000, model="gpt-4o"), refused(model="gpt-4o"), ok(180_000, 180_000, 0),
         refused()],
    ),
    "global-cap": Drive(
        [USER, USER, ALL],
        [
            ok(20_000, 20_000, 0, 20_000, headers=OPENAI),
            refused(headers=OPENAI),
            ok(99_980_000, 0, 99_980_000, 99_980_000, headers=SELFHOSTED),
            refused(headers=SELFHOSTED, user="other"),
            refused(headers=OPENAI, user="other"),
        ],
    ),
    "prompt-and-completion": Drive(
        [USER, USER],
        [
            ok((100, 20_000, 20_100), 100, 20_000),
            refused(says="completion tokens"),
            ok((100_000, 1, 100_001), 100_000, 1, user="other"),
            refused(user="other", says="prompt tokens"),
        ],
    ),
    "cached-cheaper": Drive(
        [USER],
        [
            ok(Script(usage=CACHED), 6_800, left=100_000),
            ok(reporting({"usage": {"input_tokens": 50, "output_tokens": 30, "cache_creation_input_tokens": 100}}), 295),
            ok((92_905, 0, 92_905), 92_905, left=92_905),
            refused(),
        ],
    ),
    "shadow-first": Drive(
        [USER, USER],
        [ok(20_000, 20_000, 20_000, left=100_000), ok(80_000, 80_000, 80_000, left=80_000), refused()],
    ),
    "prepaid": Drive(
        [USER, USER],
        [
            ok((149_990, 10, 150_000), 150_000, 149_990, left=150_000),
            ok((9, 1, 10), 10, 10, left=10),
            refused(says="prompt tokens"),
            ok((100, 199_900, 200_000), 200_000, 100, user="other", left=150_000),
            refused(user="other"),
        ],
    ),
    "routing-by-model": Drive(
        [USER, USER],
        [
            ok(20_000, 20_000, 0, model="gpt-4o"),
            refused(model="gpt-4o-mini"),
            ok(500_000, 0, 500_000, model="any"),
            refused(model="another"),
            refused(model="gpt-4o", headers=SELFHOSTED),
        ],
    ),
    "several-windows": Drive(
        [USER] * 4,
        [ok(50_000, 1, 50_000, 50_000, 50_000, left=59, by="requests"), refused(1, says="per hour")],
    ),
    "bounded-overshoot": Drive(
        [USER],
        [ok(9_999, body={"max_tokens": 5}), ok(500, left=1), refused()],
    ),
}  # fmt: skip


def with_our_keys(policy: str) -> str:
    """The policy, whose tokens are those that the tests sign."""
    documents = [document for document in yaml.safe_load_all(policy) if document]
    for document in documents:
        jwt = document.get("spec", {}).get("identity", {}).get("jwt") if document["kind"] == names.KIND else None
        if jwt:
            jwt["provider"] = {"name": jwt["provider"]["name"]} | tokens.provider() | {"name": jwt["provider"]["name"]}
    return join(dump(document) for document in documents)


def text_of(name: str) -> str:
    """The example's policy."""
    (policy,) = [path for path in examples() if path.parent.name == name]
    text = policy.read_text(encoding="utf-8")
    return with_our_keys(text) if "remoteJWKS" in text else text


def test_every_example_is_driven() -> None:
    """None is left out, and each is in the list of manifests."""
    assert set(DRIVES) == {policy.parent.name for policy in examples()}
    listed = (Path(__file__).parent.parent / "manifests" / "README.md").read_text(encoding="utf-8")
    assert [name for name in DRIVES if f"[{name}](examples/{name}/" not in listed] == []


@pytest.mark.parametrize("name", DRIVES)
def test_example(run_case: RunCase, name: str) -> None:
    """Row by row, until it refuses."""
    drive = DRIVES[name]
    assert [row for row in drive.rows if 429 in row.expect.statuses], "no refusal"
    run_case(Case(name, name, Profile.CORE, text_of(name), tuple(drive.rows), subjects=tuple(drive.subjects)))
