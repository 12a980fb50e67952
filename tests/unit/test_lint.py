"""Rules beyond validity: a bad example for each, what they leave alone, and comments that allow a finding."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from llmroute import codes
from llmroute.diagnostic import Code, Severity
from llmroute.pipeline import Compiled, compile_policies, judge_policies
from llmroute.targets import ENVOY, ENVOY_GATEWAY, capabilities
from tests.policies import MODEL, USER, compiled, header, limit, route, rule, text, with_spec
from tools.examples import examples

INVALID = sorted((Path(__file__).parents[1] / "specs/invalid").glob("*.yaml"))
CATALOGUE = [code for name, code in vars(codes).items() if name.isupper() and isinstance(code, Code)]
FROM_HERE = codes.SHADOWED.id
USERS, MINI = header(USER, "Distinct"), header(MODEL, "Exact", "gpt-4o-mini")
JWT = {"jwt": {"provider": {"name": "sso", "remoteJWKS": {"uri": "https://sso.example.com/jwks.json"}}}}


def judged(policy: dict[str, Any] | str, target: str = ENVOY_GATEWAY) -> Compiled:
    """All that is said of a policy."""
    said = policy if isinstance(policy, str) else text(policy)
    return judge_policies([("policy.yaml", said)], capabilities(target))


def found(policy: dict[str, Any] | str) -> list[str]:
    """The codes, but for the note on users, which most policies here get."""
    return [d.code.id for d in judged(policy).diagnostics if d.code is not codes.UNVERIFIED]


def test_every_rule_has_a_bad_example() -> None:
    """Of each code from here on, and of no other; LR063 is about how the command is called (``test_engine.py``)."""
    wanted = [code.id for code in CATALOGUE if code.id >= FROM_HERE and code is not codes.NOT_CHARGED]
    assert [path.name[:5] for path in INVALID] == wanted


@pytest.mark.parametrize("path", INVALID, ids=lambda p: p.stem)
def test_a_bad_example_has_one_finding(path: Path) -> None:
    """Its own, in the line that says ``here``, or at the comment that the finding is about; never an error."""
    source = path.read_text(encoding="utf-8")
    (finding,) = judge_policies([(path.name, source)], capabilities(ENVOY_GATEWAY)).diagnostics
    (line,) = [n for n, said in enumerate(source.splitlines(), 1) if re.search(r"# (here|llmroute:)", said)]
    assert (finding.code.id, finding.origin.line) == (path.name[:5], line)
    assert finding.severity is not Severity.ERROR
    assert finding.hint


@pytest.mark.parametrize("policy", examples(), ids=lambda p: p.parent.name)
def test_examples_are_clean(policy: Path) -> None:
    """No warning, or allowed with a reason. The original document stays as it came, with its warning."""
    result = judge_policies([("x", policy.read_text(encoding="utf-8"))], capabilities(ENVOY_GATEWAY))
    warnings = [d.code.id for d in result.diagnostics if d.severity is not Severity.NOTE]
    assert warnings == (["LR024"] if policy.parent.name == "ratelimit-demo" else [])


def limited(*limits: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A route with one rule."""
    return route(rule(*limits, **more))


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (limited(limit(10, unit="Hour"), limit(10, unit="Day")), ["LR051"]),
        (limited(limit(11, unit="Hour"), limit(10, unit="Day")), ["LR051"]),
        (limited(limit(9, unit="Hour"), limit(10, unit="Day")), []),
        (limited(limit(100, unit="Week"), limit(10, unit="Month")), []),
        (limited(limit(100, unit="Day"), limit(10, unit="Month")), ["LR051"]),
        (limited(limit(1000, unit="Day"), limit(1, unit="Second")), []),
        (limited(limit(10, token="Prompt"), limit(10)), ["LR051"]),
        (limited(limit(10, token="Prompt"), limit(10, token="Completion")), []),
        (limited(limit(10), limit(9, token="Prompt")), []),
        (limited(limit(10, weights={"prompt": 2}), limit(11)), ["LR051"]),
        (limited(limit(10, weights={"prompt": 2, "completion": 0.5}), limit(11)), []),
        (limited(limit(10, weights={"prompt": 0.5}), limit(10)), ["LR051"]),
        (limited(limit(10, "Request"), limit(10)), []),
        (limited(limit(10, "Request", unit="Minute"), limit(0)), ["LR051"]),
        (limited(limit(10, unit="Hour"), limit(10, unit="Day", shadow=True)), []),
        (limited(limit(10, unit="Hour", shadow=True), limit(10, unit="Day")), []),
    ],
)
def test_limits_of_one_rule(policy: dict[str, Any], expected: list[str]) -> None:
    """The other's counter has to be as high, and its window to hold this one's: a week is in no month."""
    assert found(policy) == expected


@pytest.mark.parametrize(
    ("wide", "narrow", "expected"),
    [
        ([], [USERS], True),
        ([], [MINI], True),
        ([USERS], [], False),
        ([USERS], [USERS, MINI], True),
        ([USERS], [header(USER, "Exact", "u1")], True),
        ([header(USER, "Exact", "u1")], [USERS], False),
        ([header(USER, "Exact", "u1")], [header(USER, "Exact", "u2")], False),
        ([header(USER, "RegularExpression", "u.*")], [header(USER, "Exact", "u1")], True),
        ([header(USER, "RegularExpression", "v.*")], [header(USER, "Exact", "u1")], False),
        ([header(USER, "RegularExpression", "u.*")], [header(USER, "RegularExpression", "u.*"), MINI], True),
        ([header(USER, "RegularExpression", "u.*")], [header(USER, "RegularExpression", "u1.*")], False),
        ([USERS], [MINI], False),
    ],
)
def test_limits_of_two_rules(wide: list[dict[str, Any]], narrow: list[dict[str, Any]], expected: bool) -> None:
    """The other has to apply to every request of this one's, with one counter wherever this one has one."""
    policy = route(rule(limit(10), headers=wide), rule(limit(11), headers=narrow))
    assert (codes.SHADOWED.id in found(policy)) is expected


def test_limits_of_backends() -> None:
    """One across all of them makes one of a backend idle; two backends' do not touch."""
    assert found(route(a=[rule(limit(10))], b=[rule(limit(10))])) == []
    assert found(with_spec(route(a=[rule(limit(10))], b=[rule(limit(11))]), of_all=[rule(limit(10))])) == ["LR051"] * 2
    assert found(with_spec(limited(limit(12)), of_all=[rule(limit(10))])) == ["LR056"], "of one backend it is the same"


def test_limits_that_count_the_same() -> None:
    """Once, at the second, whatever the order of headers; kinds, units and windows must be the same."""
    one, two = rule(limit(10), headers=[USERS, MINI]), rule(limit(20), headers=[MINI, USERS])
    everything = rule(limit(10**6))
    assert found(route(one, two, everything)) == ["LR056"]
    assert found(limited(limit(10), limit(20, shadow=True))) == []
    assert found(limited(limit(10), limit(20, "Request"))) == []


@pytest.mark.parametrize(
    ("quantity", "more", "most", "expected"),
    [
        (100, {}, 100, []),
        (100, {}, 101, ["LR052"]),
        (100, {"token": "Completion"}, 101, ["LR052"]),
        (100, {"token": "Prompt"}, 101, []),
        (100, {"weights": {"completion": 4}}, 26, ["LR052"]),
        (100, {"weights": {"completion": 4}}, 25, []),
        (100, {"weights": {"completion": 0.5, "reasoning": 3}}, 34, ["LR052"]),
        (100, {"shadow": True}, 101, []),
        (0, {}, 101, []),
        (100, {}, None, []),
    ],
)
def test_long_answers(quantity: int, more: dict[str, Any], most: int | None, expected: list[str]) -> None:
    """By what an answer costs at most; a prompt's limit, a shadow and one that never admits are left alone."""
    policy = limited(limit(quantity, **more))
    assert found(with_spec(policy, admission={"maxTokens": most}) if most else policy) == expected


@pytest.mark.parametrize(
    ("headers", "spec", "expected"),
    [
        ([USERS], {}, ["LR053"]),
        ([USERS], {"identity": JWT}, []),
        ([header(USER, "Exact", "u1")], {}, ["LR053"]),
        ([header("x-tier", "Exact", "gold")], {"identity": JWT}, ["LR053"]),
        ([header("x-tier", "Distinct")], {"identity": JWT}, ["LR054"]),
        ([header("x-tier", "Distinct"), USERS], {}, ["LR053", "LR054"]),
        ([header("x-user", "Distinct")], {"identity": {"header": "x-user"}}, ["LR053"]),
        ([header(MODEL, "Distinct")], {}, []),
    ],
)
def test_subjects(headers: list[dict[str, Any]], spec: dict[str, Any], expected: list[str]) -> None:
    """Once for a header, however many rules have it. The model is the filter's own."""
    policy = with_spec(route(rule(limit(5), headers=headers), rule(limit(9, "Request"), headers=headers)), **spec)
    assert sorted(d.code.id for d in judged(policy).diagnostics) == expected


def test_metadata_is_verified_by_who_wrote_it() -> None:
    """A claim is no word of the client's."""
    claim = {"type": "Dynamic", "name": "envoy.filters.http.jwt_authn", "paths": [{"key": "sso"}, {"key": "org"}]}
    assert judged(route(rule(limit(5), metadata=[claim]))).diagnostics == ()


KEYS: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "keys", "namespace": "default"},
    "stringData": {"alice": "key-of-alice"},
}


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([header(USER, "Exact", "a"), header(USER, "Exact", "b")], True),
        ([header(USER, "Exact", "a"), header(USER, "Exact", "a")], False),
        ([header(USER, "Exact", "a"), header(USER, "RegularExpression", "b.*")], True),
        ([header(USER, "RegularExpression", "b.*"), header(USER, "Exact", "bob")], False),
        ([header(USER, "RegularExpression", "b.*"), header(USER, "RegularExpression", "c.*")], False),
        ([header(USER, "Distinct"), header(USER, "Exact", "a")], False),
        ([header(MODEL, "Exact", "ä" * 129)], True),
        ([header(MODEL, "Exact", "a" * 256)], False),
    ],
)
def test_rules_that_cannot_match(headers: list[dict[str, Any]], expected: bool) -> None:
    """Two expressions are not compared: they may have a value in common."""
    policy = route(rule(limit(5), limit(6, "Request"), headers=headers), rule(limit(10**6)))
    assert found(policy).count("LR055") == int(expected)


@pytest.mark.parametrize(("secrets", "user", "expected"), [(["keys"], "bob", 1), (["keys"], "alice", 0), (["keys", "more"], "bob", 0)])  # fmt: skip
def test_users_without_a_key(secrets: list[str], user: str, expected: int) -> None:
    """Where the input has all the keys there are."""
    identity = {"apiKey": {"credentialRefs": [{"name": name} for name in secrets]}}
    policy = with_spec(limited(limit(5), headers=[header(USER, "Exact", user)]), identity=identity)
    assert found(text(policy, KEYS)).count("LR055") == expected


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("gpt-4o", ["LR057"]),
        ("^gpt-4", ["LR057"]),
        ("(?i)^gpt-4", ["LR057"]),
        ("mini$", ["LR057"]),
        ("^(gpt|o)-mini", ["LR057"]),
        ("^gpt-4$", []),
        ("^gpt-.*", []),
        ("^gpt-(4.*)", []),
        (".*mini$", []),
        (r"gpt-4\$", []),
        ("gpt-4[$]", []),
        ("gpt-4|o3", []),
        ("gpt-[45]", []),
        ("gpt-3.5-.*", ["LR058"]),
        ("^gpt-3.5", ["LR057", "LR058"]),
        (r"gpt-3\.5.*", []),
        ("gpt-3[.]5.*", []),
        (r"\Qgpt-3.5\E.*", []),
        ("gpt-.-mini", []),
        ("gpt.*mini", []),
        (r"gpt-\w+", []),
    ],
)
def test_patterns(pattern: str, expected: list[str]) -> None:
    """Of models: an anchor or dot that an escape or a set holds is none."""
    policy = route(rule(limit(10**6)), rule(limit(5), headers=[header(MODEL, "RegularExpression", pattern)]))
    assert found(policy) == expected


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [(r"team-\w+", ["LR059"]), ("[[:alpha:]]+", ["LR059"]), (r"team-\d+", []), (r"\pL+", []), ("a.b@x", [])],
)
def test_patterns_of_users(pattern: str, expected: list[str]) -> None:
    """A number is the same in each engine, and no dot is looked at."""
    assert found(limited(limit(5), headers=[header(USER, "RegularExpression", pattern)])) == expected


def test_how_to_write_a_dot() -> None:
    """The hint has the whole expression, and leaves what is right."""
    selector = header(MODEL, "RegularExpression", r"(gpt-3.5|claude-3\.7|o[.]1|a.b).*")
    (finding,) = judged(route(rule(limit(10**6)), rule(limit(5), headers=[selector]))).diagnostics
    assert finding.hint == r"write \. for a dot: (gpt-3\.5|claude-3\.7|o[.]1|a\.b).*"


@pytest.mark.parametrize(
    ("models", "selector", "expected"),
    [
        ({"a": ["m1"], "b": ["m2"]}, header(MODEL, "Exact", "m1"), []),
        ({"a": ["m1"], "b": ["m2"]}, header(MODEL, "Exact", "m2"), ["LR060"]),
        ({"a": ["m1"], "b": ["*"]}, header(MODEL, "Exact", "m2"), ["LR060"]),
        ({"a": ["*"], "b": ["m2"]}, header(MODEL, "Exact", "m3"), []),
        ({"a": ["*"], "b": ["m2"]}, header(MODEL, "Exact", "m2"), ["LR060"]),
        ({"a": ["m1"], "b": ["m2"]}, header(MODEL, "RegularExpression", "m[13].*"), []),
        ({"a": ["m1"], "b": ["m2"]}, header(MODEL, "RegularExpression", "m[23].*"), ["LR060"]),
        ({"a": ["m1"], "b": ["m2"]}, header(MODEL, "Exact", "unknown"), []),
        ({"a": ["m1"], "b": ["m2"]}, header(MODEL, "Distinct"), []),
        ({"a": [], "b": []}, header(MODEL, "Exact", "m9"), []),
    ],
)
def test_models_of_backends(models: dict[str, list[str]], selector: dict[str, Any], expected: list[str]) -> None:
    """The rule is the first backend's; who takes the rest takes what no other has."""
    policy = with_spec(route(a=[rule(limit(5), headers=[selector])], b=[]), of_all=[rule(limit(10**6))])
    for backend in policy["spec"]["backends"]:
        served = models[backend["backendRef"]["name"]]
        backend.update({"models": served} if served else {})
    assert found(policy) == expected


def test_models_across_backends() -> None:
    """Any backend will do."""
    for model, expected in (("m2", []), ("m3", ["LR060"])):
        policy = with_spec(
            route(a=[], b=[]), of_all=[rule(limit(5), headers=[header(MODEL, "Exact", model)]), rule(limit(10**6))]
        )
        for backend, served in zip(policy["spec"]["backends"], (["m1"], ["m2"]), strict=True):
            backend["models"] = served
        assert found(policy) == expected


def test_a_policy_with_errors_is_not_linted() -> None:
    """First it has to be one."""
    policy = limited(limit(10, unit="Hour"), limit(10, unit="Day"), headers=[header(USER, "Exact")])
    assert found(policy) == ["LR011"]


TWO = """\
apiVersion: aigateway.envoyproxy.io/v1alpha1
kind: LLMRoute
metadata: {name: chat, namespace: default}
spec:
  targetRefs: [{name: ai-eg}]
  backends:
  - backendRef: {name: openai, kind: Backend}
    trafficPolicy:
      rateLimit:
        rules:
        - limits:%s
          - {type: Token, quantity: 1000, unit: Hour}%s
          - {type: Token, quantity: 1000, unit: Day}
"""
ALLOW = "# llmroute: allow LR051 because the day comes next month"


@pytest.mark.parametrize(
    ("above", "behind"),
    [("", f" {ALLOW}"), (f"\n{ALLOW}", ""), (f"\n    {ALLOW}\n  # more\n\n", ""), ("", f" # x {ALLOW}")],
)
def test_what_a_comment_allows(above: str, behind: str) -> None:
    """At the line's end, or above it, with other comments and blank lines between; the reason is kept."""
    result = judged(TWO % (above, behind))
    assert result.diagnostics == ()
    ((finding, reason),) = [(a.diagnostic, a.reason) for a in result.allowed]
    assert (finding.code, reason) == (codes.SHADOWED, "the day comes next month")


@pytest.mark.parametrize(
    ("comment", "expected"),
    [
        ("# llmroute: allow LR051", ["LR051", "LR061"]),
        ("# llmroute: allow LR051 because", ["LR051", "LR061"]),
        ("# llmroute: allow because I say so", ["LR051", "LR061"]),
        ("# llmroute: allow shadowed because I say so", ["LR051", "LR061"]),
        ("# llmroute: allow LR052 because I say so", ["LR051", "LR062"]),
        ("# llmroute: allow LR051, LR052 because I say so", ["LR062"]),
        ("# llmroute:allow LR051 because I say so", []),
        ("# llmroute: allowance", ["LR051"]),
    ],
)
def test_comments_that_allow_nothing(comment: str, expected: list[str]) -> None:
    """They are findings themselves, and the finding stays."""
    assert sorted(found(TWO % ("", f" {comment}"))) == expected


def test_another_line_is_not_allowed() -> None:
    """A comment speaks of one line."""
    assert found((TWO % ("", "")) + f"{ALLOW}\n") == ["LR051", "LR062"]
    assert found((TWO % ("", "")).replace("unit: Day}", f"unit: Day}} {ALLOW}")) == ["LR051", "LR062"]


def test_a_text_is_no_comment() -> None:
    """Neither in quotes nor in a block."""
    secret = f"---\napiVersion: v1\nkind: Secret\nmetadata: {{name: x}}\nstringData:\n  a: |\n    text\n    {ALLOW}\n  b: ' {ALLOW}'\n"
    assert found((TWO % ("", "")) + secret) == ["LR051"]


def test_errors_cannot_be_allowed() -> None:
    """There is nothing to write then."""
    policy = (TWO % ("", " # llmroute: allow LR004 because it looks right")).replace("1000", "-1", 1)
    result = judged(policy)
    assert ([d.code.id for d in result.diagnostics], result.allowed) == (["LR004"], ())


def test_generate_allows_the_same() -> None:
    """What comes of a policy is the same with the comment; of other targets' findings nothing is said."""
    policy = text(limited(limit(9, "Request"), limit(10)))
    (finding,) = compile_policies([("p", policy)], capabilities(ENVOY_GATEWAY)).diagnostics
    lines = policy.splitlines()
    lines[finding.origin.line - 1] += " # llmroute: allow LR019 because it is so"
    result = compile_policies([("p", "\n".join(lines))], capabilities(ENVOY_GATEWAY))
    assert (result.diagnostics, len(result.allowed), len(result.artifacts)) == ((), 1, 1)


def test_findings_of_another_target_may_be_allowed() -> None:
    """On Envoy Gateway two Gateways share no listener; on a plain Envoy two routes meet there."""
    one, two = (limited(limit(5)) | {"metadata": {"name": name, "namespace": "default"}} for name in "ab")
    two["spec"] = two["spec"] | {"targetRefs": [{"name": "another"}]}
    backend = {
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "Backend",
        "metadata": {"name": "other", "namespace": "default"},
        "spec": {"endpoints": [{"ip": {"address": "192.0.2.1", "port": 80}}]},
    }
    two["spec"]["backends"] = [{"backendRef": {"name": "other", "kind": "Backend"}}]
    policy = text(one, two, backend, backend | {"metadata": {"name": "llm", "namespace": "default"}})
    (finding,) = [d for d in judged(policy, ENVOY).diagnostics if d.severity is Severity.WARNING]
    assert finding.code is codes.AMBIGUOUS_DEFAULT
    lines = policy.splitlines()
    lines[finding.origin.line - 1] += " # llmroute: allow LR018 because clients name a backend"
    for target in (ENVOY, ENVOY_GATEWAY):
        assert judged("\n".join(lines), target).diagnostics == ()


def test_what_an_edit_does_may_be_allowed() -> None:
    """Where the old policy is at hand; without it nothing is said of such a comment."""
    old, new = (limited(limit(10), headers=[header(MODEL, "Exact", model)]) for model in ("unknown", "m"))
    against = compiled(old).plan
    catch = with_spec(new, of_all=[rule(limit(10**6))])
    (moved,) = [
        d
        for d in judge_policies([("p", text(catch))], capabilities(ENVOY_GATEWAY), against=against).diagnostics
        if d.code is codes.COUNTER_HANDED_OVER
    ]
    lines = text(catch).splitlines()
    lines[moved.origin.line - 1] += " # llmroute: allow LR045 because we deploy at midnight"
    for known in (against, None):
        result = judge_policies([("p", "\n".join(lines))], capabilities(ENVOY_GATEWAY), against=known)
        assert (result.diagnostics, len(result.allowed)) == ((), int(known is not None))
