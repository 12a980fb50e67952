"""``mode: PrepaidPrompt`` from the policy to what the proxy and the filter are told, and what is refused."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import yaml

from llmroute import names
from llmroute.check.counters import moved
from llmroute.diagnostic import Severity
from llmroute.emit import eg_names
from llmroute.pipeline import compile_policies
from llmroute.targets import ENVOY, ENVOY_GATEWAY, TARGETS, capabilities
from tests.policies import MODEL, USER, compiled, findings, header, limit, route, rule, text, with_spec
from tests.unit.test_check import backend
from tests.unit.test_settle import EVERY_USER, STAFF, contexts


def prepaid(policy: dict[str, Any], **admission: Any) -> dict[str, Any]:
    """The policy with the mode."""
    return with_spec(policy, admission={"mode": "PrepaidPrompt", **admission})


@pytest.mark.parametrize("target", TARGETS)
def test_post_paid_tells_the_filter_nothing(target: str) -> None:
    """And no rule, no route knows of the header."""
    made = compiled(route(rule(limit(10), headers=EVERY_USER)), backend("llm"), target=target)
    assert all("prepay" not in context for context in contexts(route(rule(limit(10))), target))
    assert not any(names.PREPAID_HEADER in a.text for a in made.artifacts)


def test_what_the_filter_is_told() -> None:
    """Of every limit that may refuse: what a check costs, which it is among those it tells of, what is due and paid."""
    kinds = [limit(10), limit(9, "Request"), limit(10, shadow=True), limit(0), limit(7, token="Prompt"), limit(10)]
    (context,) = contexts(prepaid(route(rule(*kinds))), ENVOY)
    prepay = context["prepay"]
    assert {key: prepay[key] for key in ("header", "cluster", "domain", "timeoutMs")} == {
        "header": names.PREPAID_HEADER,
        "cluster": "ratelimit",
        "domain": "default/route",
        "timeoutMs": 1000,
    }
    told = [[each.get(key) for key in ("check", "of", "due", "paid", "key")] for each in prepay["limits"]]
    assert told == [
        [0, 1, "due_1", "paid_1", "total_tokens"],
        [1, 2, None, None, None],
        [1, 3, None, None, None],
        [0, 4, "due_5", "paid_5", "prompt_tokens"],
        [0, 1, "due_6", "paid_6", "total_tokens"],
    ]
    assert [context["limits"][each["of"] - 1]["quantity"] for each in prepay["limits"]] == [10, 9, 0, 7, 10]


def test_both_calls() -> None:
    """With Sync what is due is told once more, with what is paid; of a shadow nothing is."""
    (context,) = contexts(prepaid(route(rule(limit(10), limit(9, shadow=True))), settle="Sync"), ENVOY_GATEWAY)
    assert [(each["due"], each.get("paid")) for each in context["settle"]["limits"]] == [
        ("due_1", "paid_1"),
        ("due_2", None),
    ]
    assert [each["paid"] for each in context["prepay"]["limits"]] == ["paid_1"]


def test_on_envoy_gateway_no_rule_matches_an_admitted_request() -> None:
    """Its last selector is that; a shadow has none. The header is gone behind the check."""
    rules = [rule(limit(10), limit(9, "Request"), limit(8, shadow=True), headers=EVERY_USER), rule(limit(7))]
    made = compiled(prepaid(route(*rules)))
    documents = {d["kind"]: d["spec"] for d in yaml.safe_load_all(made.artifacts[0].text) if d}
    admitted = {"type": "Exact", "name": names.PREPAID_HEADER, "value": "yes", "invert": True}
    user = {"type": "Distinct", "name": USER}
    found = documents["BackendTrafficPolicy"]["rateLimit"]["global"]["rules"]
    assert [each["clientSelectors"][0]["headers"] for each in found] == [[user, admitted]] * 2 + [[user], [admitted]]
    assert [each["cost"].get("response", {}).get("metadata", {}).get("key") for each in found] == [
        "due_1", None, "total_tokens", "due_4",
    ]  # fmt: skip
    for each in documents["HTTPRoute"]["rules"]:
        (one,) = each["filters"]
        assert one == {"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": [names.PREPAID_HEADER]}}


def test_the_selector_is_in_the_counters_name() -> None:
    """Behind those of the rule, or in place of the one for all requests."""
    (made,) = compiled(
        prepaid(route(rule(limit(10), headers=[header(MODEL, "Exact", "m"), *EVERY_USER]), rule(limit(7))))
    ).plan.routes
    keys = [[key for key, _ in eg_names.entries(made, i, b, one)] for i, (b, one) in enumerate(made.limits())]
    assert [each[1:] for each in keys] == [["rule-0-match-0", "rule-0-match-1", "rule-0-match-2"], ["rule-1-match-0"]]


def test_on_a_plain_envoy_the_counters_keep_their_names() -> None:
    """The entry of the limit's id is missing for an admitted request; the service's configuration is the same."""
    policy = route(rule(limit(10), headers=EVERY_USER))
    before, after = (compiled(p, backend("llm"), target=ENVOY).artifacts for p in (policy, prepaid(policy)))
    (one, other) = (
        [a.text.partition("\n") for a in made if a.path.startswith("ratelimit/")] for made in (before, after)
    )
    assert [rest for _, _, rest in one] == [rest for _, _, rest in other], "all but the stamp with its hash"
    (envoy,) = [yaml.safe_load(a.text) for a in after if a.path == "envoy.yaml"]
    hosts = envoy["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]["route_config"]
    (only,) = hosts["virtual_hosts"][0]["routes"]
    assert only["request_headers_to_remove"] == [names.PREPAID_HEADER]
    first = only["typed_per_filter_config"]["envoy.filters.http.ratelimit"]["rate_limits"][0]["actions"][0]
    match = first["header_value_match"]
    assert (match["expect_match"], match["headers"]) == (False, [{"name": names.PREPAID_HEADER, "present_match": True}])


def test_a_switch_of_the_mode_is_told_where_counters_begin_again() -> None:
    """On Envoy Gateway, not on a plain Envoy."""
    policy = route(rule(limit(10), headers=EVERY_USER))
    old, new = (compiled(p).plan for p in (policy, prepaid(policy)))
    for target, codes in ((ENVOY_GATEWAY, ["LR046"]), (ENVOY, [])):
        assert [d.code.id for d in moved(old, new, capabilities(target))] == codes


@pytest.mark.parametrize("target", TARGETS)
def test_a_pattern_is_refused(target: str) -> None:
    """Once at each that could refuse; a shadow's is not the filter's business."""
    rules = [rule(limit(10), limit(20), limit(3, "Request"), headers=STAFF), rule(limit(30))]
    ((code, found),) = findings(prepaid(route(*rules)), backend("llm"), target=target)
    assert (code, found.severity) == ("LR048", Severity.ERROR)
    assert found.origin.path[-3:] == (0, "headers", 0)
    assert findings(prepaid(route(rule(limit(10, shadow=True), headers=STAFF))), backend("llm"), target=target) == []


def test_counters_have_to_be_known() -> None:
    """On Envoy Gateway they are called by the namespace, and by names that are proven for each version."""
    policy = prepaid(route(rule(limit(10))))
    unknown = dataclasses.replace(capabilities(ENVOY_GATEWAY), version="1.99", known_counters=False)
    made = compile_policies([("policy.yaml", text(policy))], unknown)
    assert [(d.code.id, d.origin.path[-1]) for d in made.diagnostics] == [("LR048", "mode")]
    del policy["metadata"]["namespace"]
    ((code, found),) = findings(policy)
    assert (code, found.hint) == ("LR048", "add metadata.namespace")
    assert findings(policy, backend("llm"), target=ENVOY) == []


def test_the_selector_counts() -> None:
    """Of sixteen on Envoy Gateway one is the filter's; a plain Envoy takes all."""
    many = [header(f"x-{i}", "Exact", "a") for i in range(16)]
    policy = prepaid(route(rule(limit(10), headers=many)))
    ((code, found),) = findings(policy)
    assert (code, found.message) == (
        "LR032",
        "a rule takes at most 15 headers and metadata, as 1 of 16 says whether it is prepaid, not 16",
    )
    assert findings(policy, backend("llm"), target=ENVOY) == []


def test_nobody_selects_on_the_header() -> None:
    """It is the filter's, in every mode."""
    ((code, found),) = findings(route(rule(limit(10), headers=[header(names.PREPAID_HEADER, "Exact", "yes")])))
    assert (code, found.severity) == ("LR044", Severity.ERROR)
