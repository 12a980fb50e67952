"""Checks of the plan: each with a policy that has the fault and the one finding for it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from llmroute.diagnostic import Severity
from llmroute.plan import Unit
from llmroute.targets import ENVOY, ENVOY_GATEWAY, capabilities
from tests.policies import MODEL, USER, findings, header, limit, route, rule, with_spec

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


@pytest.mark.parametrize("target", [ENVOY_GATEWAY, ENVOY])
def test_many_routes_of_one_gateway(target: str) -> None:
    """Each is told once of the first in its way: as pairs, a thousand routes were half a million warnings."""
    documents = [route(name=f"r{number}", **{f"b{number % 30}": [rule(limit(1))]}) for number in range(40)]
    found = findings(*documents, *(backend(f"b{number}") for number in range(30)), target=target)
    assert [code for code, _ in found].count("LR018") == 39
    assert [code for code, _ in found].count("LR017") == 10
    assert len(found) == 49
    (first,) = [d for c, d in found if c == "LR017" and "LLMRoute r9 " in d.message]
    assert first.message.startswith("requests that name backend b9 go to LLMRoute r9 (policy.yaml:")


def test_a_route_of_two_gateways_meets_one_on_each() -> None:
    """The one that it meets on the second Gateway is said as well as one on the first would be."""
    one, two, three = (route(name=name, **{name: [rule(limit(1))]}) for name in ("a", "b", "c"))
    two["spec"]["targetRefs"] = [{"name": "another"}]
    three["spec"]["targetRefs"] = [{"name": "free"}, {"name": "another"}]
    ((code, record),) = findings(one, two, three)
    assert code == "LR018"
    assert "or b (" in record.message


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


def test_too_many_limits() -> None:
    """257 in a route, those across all backends included."""
    many = [rule(limit(1000 + i), headers=[header(MODEL, "Exact", f"m{i}")]) for i in range(257)]
    errors = [(c, d) for c, d in findings(route(*many)) if d.severity is Severity.ERROR]
    assert [c for c, _ in errors] == ["LR014"]
    (over,) = [d for _, d in errors]
    assert over.origin.path[5:7] == ("rules", 256)
    split = with_spec(route(*many[:256]), of_all=many[256:])
    ((code, over),) = [(c, d) for c, d in findings(split) if d.severity is Severity.ERROR]
    assert (code, over.origin.path[:2]) == ("LR014", ("spec", "trafficPolicy"))
    assert not [c for c, d in findings(route(*many[:256])) if d.severity is Severity.ERROR]


@pytest.mark.parametrize(
    ("target", "backends", "room"), [(ENVOY_GATEWAY, 1, 16), (ENVOY_GATEWAY, 2, 15), (ENVOY, 1, 16), (ENVOY, 2, 16)]
)
def test_too_many_selectors(target: str, backends: int, room: int) -> None:
    """16 headers and metadata on a rule; on Envoy Gateway one of them is the backend's, if there are several."""
    several: dict[str, Any] = {f"b{i}": [rule(limit(1))] for i in range(backends)}
    addresses = [backend(name) for name in several]

    def found(count: int) -> list[tuple[str, Any]]:
        headers = [header(f"x-{i}", "Distinct") for i in range(count - 1)]
        rules = [rule(limit(1), limit(2, unit="Day"), headers=headers, metadata=[CLAIM])]
        return findings(route(**{**several, "b0": rules}), *addresses, target=target)

    assert found(room) == []
    ((code, record),) = found(room + 1)
    assert (code, record.origin.path[-2]) == ("LR032", "metadata")
    of_all = with_spec(
        route(**several), of_all=[rule(limit(1), headers=[header(f"x-{i}", "Distinct") for i in range(16)])]
    )
    assert findings(of_all, *addresses, target=target) == []


CLAIM = {"type": "Dynamic", "name": "envoy.filters.http.jwt_authn", "paths": [{"key": "p"}, {"key": "org"}]}


def test_metadata_has_headers_of_its_own() -> None:
    """A match on metadata is fine; a rule that selects on such a header by name could be fed by a client."""
    assert findings(route(rule(limit(1), metadata=[CLAIM]))) == []
    ((code, record),) = findings(route(rule(limit(1), headers=[header("X-AI-Gateway-LLM-Metadata-0a1b", "Distinct")])))
    assert (code, record.hint) == ("LR044", "match the metadata itself: metadata: […]")
    ((code, record),) = findings(route(rule(limit(1), metadata=[CLAIM | {"value": ""}])))
    assert (code, record.hint) == ("LR011", "leave value out, and each value counts apart")


def test_a_window_that_the_target_does_not_have() -> None:
    """The hint names those that it has."""
    row = dataclasses.replace(capabilities(ENVOY_GATEWAY), units=frozenset({Unit.SECOND, Unit.MINUTE, Unit.HOUR}))
    assert findings(route(rule(limit(1, unit="Hour"))), target=row) == []
    ((code, record),) = findings(route(rule(limit(1, unit="Week"))), target=row)
    assert (code, record.message) == ("LR025", "envoy-gateway 1.9 has no window of a week")
    assert record.hint == "use Second, Minute or Hour"
    assert record.severity is Severity.ERROR


def by_model(**models: list[str]) -> dict[str, Any]:
    """A route whose backends serve these models."""
    rules: dict[str, Any] = {name: [rule(limit(1))] for name in models}
    policy = route(**rules)
    for entry in policy["spec"]["backends"]:
        entry["models"] = models[entry["backendRef"]["name"]]
    return policy


@pytest.mark.parametrize(
    ("models", "expected"),
    [
        ({"a": ["m"], "b": ["n", "*"]}, []),
        ({"a": ["m"], "b": ["n"]}, []),
        ({"a": ["m"], "b": ["n", "m"]}, [("LR040", 1, 1, "b serves the model m, as does a (policy.yaml:11:13)")]),
        ({"a": ["m", "n", "m"]}, [("LR040", 0, 2, "a serves the model m already")]),
        ({"a": ["m", "*"], "b": ["*"]}, [("LR041", 1, 0, "b takes the models that no other backend serves, as does a (policy.yaml:11:13)")]),
        ({"a": ["*"], "b": ["*"], "c": ["*"]}, [("LR041", 1, 0, "b takes"), ("LR041", 2, 0, "c takes")]),
        ({"a": [" m", "a\tb"]}, [("LR004", 0, 0, "no request can have the model ' m'"), ("LR004", 0, 1, "no request can have the model 'a\\tb'")]),
    ],
)  # fmt: skip
def test_models_of_backends(models: dict[str, list[str]], expected: list[tuple[str, int, int, str]]) -> None:
    """A model leads to one backend; at most one takes the rest."""
    found = findings(by_model(**models))
    assert [(c, *d.origin.path[2:3], d.origin.path[4]) for c, d in found] == [e[:3] for e in expected]
    for (_, record), (_, _, _, says) in zip(found, expected, strict=True):
        assert record.message.startswith(says)
        assert record.origin.path[:2] == ("spec", "backends")


def test_two_routes_that_choose_by_model() -> None:
    """Whichever gets a request that names no backend: the other's models are never asked."""
    one, two = by_model(a=["m"], b=["n"]), by_model(c=["o"], d=["*"])
    two["metadata"]["name"] = "other"
    ((code, record),) = findings(one, two)
    assert (code, record.severity) == ("LR018", Severity.WARNING)
    assert "chooses by model" in record.message
    plain = route(name="other", e=[rule(limit(1))], f=[rule(limit(1))])
    assert findings(one, plain) == [], "it takes no request that names no backend"


def test_limits_across_all_backends_catch_a_hidden_model() -> None:
    """They hold for each backend; those by model are escaped from at each, and told once."""
    one = [rule(limit(1), headers=[EXACT_MODEL])]
    assert [c for c, _ in findings(route(a=one, b=one))] == ["LR024", "LR024"]
    assert findings(with_spec(route(a=one, b=one), of_all=[rule(limit(9))])) == []
    assert findings(with_spec(route(a=one, b=one), of_all=[rule(limit(9, "Request", "Day"))])) == []
    ((code, record),) = findings(with_spec(route(a=[], b=[]), of_all=one))
    assert (code, record.origin.path[:3]) == ("LR024", ("spec", "trafficPolicy", "rateLimit"))
    caught = with_spec(route(a=[rule(limit(9))], b=[]), of_all=one)
    assert [c for c, _ in findings(caught)] == ["LR024"], "at b it meets no limit"


def test_a_shadow_neither_catches_a_hidden_model_nor_is_escaped_from() -> None:
    """It refuses nothing."""
    shadow = limit(2, unit="Day", shadow=True)
    assert findings(route(rule(shadow, headers=[EXACT_MODEL]))) == []
    assert [c for c, _ in findings(route(rule(limit(1), headers=[EXACT_MODEL]), rule(shadow)))] == ["LR024"]


def test_shadows_and_kinds_of_tokens_look_like_nothing_else() -> None:
    """No answer names a shadow; limits of different tokens with one quantity say the same in every header."""
    assert findings(route(rule(limit(9, "Request"), limit(10, shadow=True)))) == []
    assert findings(route(rule(limit(9, "Request", shadow=True), limit(10)))) == []
    assert findings(route(rule(limit(10, token="Prompt"), limit(10, token="Completion"), limit(10)))) == []
    assert [c for c, _ in findings(route(rule(limit(9, "Request"), limit(10, token="Prompt"))))] == ["LR019"]
    assert [c for c, _ in findings(with_spec(route(rule(limit(9, "Request"))), of_all=[rule(limit(10))]))] == ["LR019"]
