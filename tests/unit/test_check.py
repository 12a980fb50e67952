"""Checks of the plan: each with a policy that has the fault and the one finding for it."""

from __future__ import annotations

from typing import Any

import pytest

from llmroute.diagnostic import Severity
from llmroute.targets import ENVOY, ENVOY_GATEWAY
from tests.policies import MODEL, USER, findings, header, limit, route, rule

DISTINCT_USER = header(USER, "Distinct")


def backend(name: str) -> dict[str, Any]:
    """A Backend with an address."""
    return {
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "Backend",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"endpoints": [{"ip": {"address": "192.0.2.1", "port": 80}}]},
    }


@pytest.mark.parametrize(
    ("selector", "code", "says"),
    [
        (header(USER, "Distinct", "u1"), "LR010", "must not name one"),
        (header(USER, "Exact"), "LR011", "needs a value"),
        (header(USER, "RegularExpression"), "LR011", "needs a value"),
        (header(USER, "Exact", ""), "LR011", "needs a value"),
        (header(USER, "RegularExpression", "a(?=b)"), "LR012", "not an RE2 regular expression"),
        (header(USER, "RegularExpression", "("), "LR012", "not an RE2 regular expression"),
        (header("x_user", "Distinct"), "LR013", "underscores"),
        (header(":path", "Distinct"), "LR013", "no header name"),
        (header("x-ai-gateway-llm-backend", "Distinct"), "LR013", "belongs to its backend"),
        (header(USER, "Exact", "a\nb"), "LR004", "no header can have"),
        (header(USER, "Exact", " a"), "LR004", "no header can have"),
    ],
)
def test_selectors(selector: dict[str, Any], code: str, says: str) -> None:
    """A selector that cannot match as meant is an error."""
    ((found, record),) = findings(route(rule(limit(1), limit(2, unit="Day"), headers=[selector])))
    assert found == code
    assert says in record.message
    assert record.severity is Severity.ERROR
    assert record.origin.line > 0


def test_two_routes_of_one_name() -> None:
    """The second is refused, and told where the first is."""
    found = findings(route(rule(limit(1)), name="a"), route(name="a", other=[rule(limit(1))]))
    assert [code for code, _ in found] == ["LR008", "LR018"]
    assert "policy.yaml:4:9" in found[0][1].message


def test_a_name_without_namespace_is_the_default_namespaces() -> None:
    """``default/a`` and ``a`` are one name."""
    second = route(name="a", other=[rule(limit(1))])
    del second["metadata"]["namespace"]
    assert "LR008" in [code for code, _ in findings(route(rule(limit(1)), name="a"), second)]


def test_a_backend_twice() -> None:
    """Its rules would have to be merged by hand."""
    policy = route(rule(limit(1)))
    policy["spec"]["backends"] *= 2
    assert [code for code, _ in findings(policy)] == ["LR009"]


def test_two_routes_of_one_gateway_with_one_backend() -> None:
    """Only one of them would ever get the requests."""
    found = findings(route(rule(limit(1)), name="a"), route(rule(limit(1)), name="b"))
    assert [code for code, _ in found] == ["LR018", "LR017"]


def test_two_routes_of_different_gateways() -> None:
    """No conflict on Envoy Gateway; on a plain Envoy they share the listener."""
    other = route(rule(limit(1)), name="b")
    other["spec"]["targetRefs"] = [{"name": "another"}]
    documents = (route(rule(limit(1)), name="a"), other, backend("llm"))
    assert findings(*documents, target=ENVOY_GATEWAY) == []
    assert [code for code, _ in findings(*documents, target=ENVOY)] == ["LR018", "LR017"]


def test_requests_that_name_no_backend_have_two_places_to_go() -> None:
    """That is a warning: clients may always name one."""
    ((code, record),) = findings(route(name="a", one=[rule(limit(1))]), route(name="b", two=[rule(limit(1))]))
    assert (code, record.severity) == ("LR018", Severity.WARNING)


@pytest.mark.parametrize("kind", ["HTTPRoute", "EnvoyExtensionPolicy", "BackendTrafficPolicy"])
def test_a_resource_of_the_name_is_there_already(kind: str) -> None:
    """Applying both would lose one of them."""
    taken = {"apiVersion": "x/v1", "kind": kind, "metadata": {"name": "route", "namespace": "default"}}
    ((code, record),) = findings(route(rule(limit(1))), taken)
    assert (code, kind in record.message) == ("LR016", True)


def test_limits_that_look_alike() -> None:
    """10 tokens are told to the service as 9, like 9 requests: a warning."""
    ((code, record),) = findings(route(rule(limit(9, "Request"), limit(10), headers=[DISTINCT_USER])))
    assert (code, record.severity) == ("LR019", Severity.WARNING)
    assert findings(route(rule(limit(9, "Request"), limit(10, unit="Day")))) == []


EXACT_MODEL, REGEX_MODEL = header(MODEL, "Exact", "m"), header(MODEL, "RegularExpression", "gpt-.*")
ONE_USER, ANOTHER = header(USER, "Exact", "u1"), header(USER, "Exact", "u2")


@pytest.mark.parametrize("model", [EXACT_MODEL, REGEX_MODEL, header(MODEL, "RegularExpression", "unk")])
@pytest.mark.parametrize(
    "others",
    [
        [],
        [rule(limit(2), headers=[header(MODEL, "Exact", "other")])],
        [rule(limit(2), headers=[header(MODEL, "Exact", "unknown"), ONE_USER])],
        [rule(limit(2), headers=[ONE_USER])],
        [rule(limit(2), headers=[header(MODEL, "Distinct"), header(USER, "RegularExpression", ".*")])],
    ],
)
def test_a_hidden_model_meets_no_limit(model: dict[str, Any], others: list[dict[str, Any]]) -> None:
    """A warning, once for the backend, at the model of the first rule that is escaped from."""
    ((code, record),) = findings(route(rule(limit(1), limit(3), headers=[DISTINCT_USER, model]), *others))
    assert (code, record.severity) == ("LR024", Severity.WARNING)
    path = ("spec", "backends", 0, "trafficPolicy", "rateLimit", "rules", 0, "headers", 1)
    assert record.origin.path == path
    assert record.hint == "add a rule for the model unknown with quantity: 0, or a rule without a model"


@pytest.mark.parametrize("model", [EXACT_MODEL, REGEX_MODEL])
@pytest.mark.parametrize(
    "other",
    [
        rule(limit(0), headers=[header(MODEL, "Exact", "unknown")]),
        rule(limit(0, "Request"), headers=[header(MODEL, "RegularExpression", "u.*")]),
        rule(limit(5)),
        rule(limit(5), headers=[DISTINCT_USER]),
        rule(limit(5), headers=[DISTINCT_USER, header(MODEL, "Distinct")]),
        rule(limit(5), headers=[ONE_USER]),
    ],
)
def test_a_hidden_model_meets_another_limit(model: dict[str, Any], other: dict[str, Any]) -> None:
    """A rule for it, for every model, or for the same user's every model, wherever it stands."""
    limited = rule(limit(10), headers=[model, ONE_USER])
    assert findings(route(limited, other)) == []
    assert findings(route(other, limited)) == []


def test_a_hidden_model_is_looked_at_backend_by_backend() -> None:
    """A limit of one backend counts no request of another; without a model there is nothing to hide."""
    by_model = rule(limit(1), headers=[EXACT_MODEL, ONE_USER])
    assert [c for c, _ in findings(route(a=[by_model], b=[rule(limit(2))]))] == ["LR024"]
    assert [c for c, _ in findings(route(a=[by_model], b=[by_model]))] == ["LR024", "LR024"]
    assert [c for c, _ in findings(route(by_model, rule(limit(2), headers=[ANOTHER])))] == ["LR024"]
    assert (
        findings(route(rule(limit(1), headers=[ONE_USER]), rule(limit(1), headers=[header(MODEL, "Distinct")]))) == []
    )


def test_a_broken_model_is_reported_once() -> None:
    """An expression that nobody can read, or a value that is missing, is the error alone."""
    for model, code in ((header(MODEL, "RegularExpression", "("), "LR012"), (header(MODEL, "Exact"), "LR011")):
        assert [c for c, _ in findings(route(rule(limit(1), headers=[model])))] == [code]


def test_a_backend_without_address() -> None:
    """A plain Envoy needs one; Envoy Gateway has its own."""
    policy = route(rule(limit(1)))
    assert [code for code, _ in findings(policy, target=ENVOY)] == ["LR015"]
    assert findings(policy, target=ENVOY_GATEWAY) == []
    assert findings(policy, backend("llm"), target=ENVOY) == []


def test_a_service_needs_its_port() -> None:
    """Also on Envoy Gateway."""
    policy = route(rule(limit(1)))
    policy["spec"]["backends"][0]["backendRef"] = {"name": "svc"}
    assert [code for code, _ in findings(policy)] == ["LR005"]


def test_too_many() -> None:
    """257 limits in a route, 17 headers on a rule."""
    headers = [header(f"x-{i}", "Distinct") for i in range(17)]
    assert [c for c, _ in findings(route(rule(limit(1), headers=headers)))] == ["LR014"]
    many = [rule(limit(1000 + i), headers=[header(MODEL, "Exact", f"m{i}")]) for i in range(257)]
    assert [c for c, d in findings(route(*many)) if d.severity is Severity.ERROR] == ["LR014"]
