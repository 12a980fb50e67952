"""Every mistake in an LLMRoute is found at once, with its place, its code and a remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmroute import codes
from llmroute.pipeline import compile_policies
from llmroute.targets import ENVOY_GATEWAY, capabilities

HEAD = """\
apiVersion: aigateway.envoyproxy.io/v1alpha1
kind: LLMRoute
metadata:
  name: r
spec:
  targetRefs:
  - name: gateway
  backends:
  - backendRef: {name: llm, kind: Backend}
"""
RULES = HEAD + "    trafficPolicy:\n      rateLimit:\n        rules:\n"


def found(text: str) -> list[str]:
    """Findings as ``line:column code message (hint)``."""
    compiled = compile_policies([("f", text)], capabilities(ENVOY_GATEWAY))
    assert not compiled.artifacts
    return [
        f"{d.origin.line}:{d.origin.column} {d.code.id} {d.message}" + (f" | {d.hint}" if d.hint else "")
        for d in compiled.diagnostics
    ]


RULE = "spec.backends[0].trafficPolicy.rateLimit.rules[0]"
IGNORED = "remove it; it would otherwise be ignored"
LATER = "is not supported by this version of llmroute"


@pytest.mark.parametrize(
    ("rule", "place", "says", "hint"),
    [
        ("{limits: [{quantity: '3'}]}", ".limits[0].quantity", "must be an integer, not the string '3'", "remove the quotes"),
        ("{limits: [{quantity: 1.5}]}", ".limits[0].quantity", "must be an integer, not the number 1.5", ""),
        ("{limits: [{quantity: -1}]}", ".limits[0].quantity", "must be at least 0, not -1", ""),
        ("{limits: [{quantity: 4294967296}]}", ".limits[0].quantity", "must be at most 4294967295, not 4294967296", ""),
        ("{limits: [{quantity: yes}]}", ".limits[0].quantity", "must be an integer, not the boolean true", ""),
        ("{limits: [{quantity: }]}", ".limits[0].quantity", "must be an integer, not empty", ""),
        ("{limits: [{}]}", ".limits[0].quantity", "is missing", ""),
        ("{limits: []}", ".limits", "needs at least 1 entry", ""),
        ("{}", ".limits", "is missing", ""),
        ("{limits: {}}", ".limits", "must be a list, not a mapping", ""),
        ("[]", "", "must be a mapping, not a list", ""),
        ("{limits: [{quantity: 1, typ: Token}]}", ".limits[0].typ", "is not a field of an LLMRoute", "did you mean type?"),
        ("{limits: [{quantity: 1, zz: 1}]}", ".limits[0].zz", "is not a field of an LLMRoute", "known here: type, quantity, unit"),
        ("{limits: [{quantity: 1, type: token}]}", ".limits[0].type", "must be Request or Token, not the string 'token'", "did you mean Token?"),
        ("{limits: [{quantity: 1, unit: Week}]}", ".limits[0].unit:", f"Week {LATER}", "use Second, Minute, Hour or Day"),
        ("{limits: [{quantity: 1, shadow: true}]}", ".limits[0].shadow", LATER, IGNORED),
        ("{limits: [{quantity: 1, token: Prompt}]}", ".limits[0].token", LATER, IGNORED),
        ("{limits: [{quantity: 1, weights: {}}]}", ".limits[0].weights", LATER, IGNORED),
        ("{metadata: [], limits: [{quantity: 1}]}", ".metadata", LATER, IGNORED),
        ("{headers: [{name: x, type: Exact, value: y}], limits: [{quantity: 1}]}", ".headers[0].value", "must be a string, not the boolean true", "put it in quotes"),
        ("{headers: [{name: x}], limits: [{quantity: 1}]}", ".headers[0].type", "is missing", ""),
        ("{headers: [{name: '', type: Distinct}], limits: [{quantity: 1}]}", ".headers[0].name", "must not be empty", ""),
    ],
)  # fmt: skip
def test_a_mistake_in_a_rule(rule: str, place: str, says: str, hint: str) -> None:
    """The message names the field as the user wrote it, what is wrong and, where known, the remedy."""
    (message,) = found(f"{RULES}        - {rule}\n")
    assert message.split(" ", 2)[2] == f"{RULE}{place} {says}" + (f" | {hint}" if hint else "")
    assert message.startswith("13:"), "the rule's line"


@pytest.mark.parametrize("field", ["trafficPolicy", "identity"])
def test_a_field_of_the_api_that_is_not_carried_out_yet(field: str) -> None:
    """It is refused at its key, never ignored."""
    text = HEAD.replace("spec:\n", f"spec:\n  {field}: {{}}\n")
    (message,) = found(text)
    assert message.startswith(f"6:3 LR006 spec.{field} is not supported by this version of llmroute")


@pytest.mark.parametrize("field", ["mode: PostPaid", "settle: Async", "maxInFlight: 1"])
def test_an_admission_that_is_not_carried_out_yet(field: str) -> None:
    """``maxTokens`` is; what stands beside it is refused at its own key."""
    (message,) = found(HEAD.replace("spec:\n", f"spec:\n  admission:\n    maxTokens: 9\n    {field}\n"))
    assert message == f"8:5 LR006 spec.admission.{field.partition(':')[0]} {LATER} | {IGNORED}"


@pytest.mark.parametrize(
    ("field", "value", "messages"),
    [
        ("usage", "{onMissing: fixed}", ["6:22 LR004 spec.usage.onMissing must be Estimate, Free or Fixed, not the string 'fixed' | did you mean Fixed?"]),
        ("usage", "{onMissing: fixed, fixedTokens: 1}", ["6:22 LR004 spec.usage.onMissing must be Estimate, Free or Fixed, not the string 'fixed' | did you mean Fixed?"]),
        ("usage", "{onMissing: Fixed}", ["6:10 LR005 spec.usage.fixedTokens is missing | say how many tokens onMissing: Fixed charges"]),
        ("usage", "{fixedTokens: 0}", ["6:11 LR023 spec.usage.fixedTokens has no effect without onMissing: Fixed | say onMissing: Fixed, or remove it"]),
        ("usage", "{onMissing: Free, fixedTokens: 5}", ["6:28 LR023 spec.usage.fixedTokens has no effect without onMissing: Fixed | say onMissing: Fixed, or remove it"]),
        ("usage", "{fixedTokens: 5, onMissing: Estimate}", ["6:11 LR023 spec.usage.fixedTokens has no effect without onMissing: Fixed | say onMissing: Fixed, or remove it"]),
        ("usage", "{onMissing: Fixed, fixedTokens: -1}", ["6:42 LR004 spec.usage.fixedTokens must be at least 0, not -1"]),
        ("usage", "{onMissing: Fixed, fixedTokens: 1000000001}", ["6:42 LR004 spec.usage.fixedTokens must be at most 1000000000, not 1000000001"]),
        ("usage", "{onMissing: Fixed, fixedTokens: '7'}", ["6:42 LR004 spec.usage.fixedTokens must be an integer, not the string '7' | remove the quotes"]),
        ("usage", "{onMissing: Fixed, onDisconnect: Keep}", [
            "6:10 LR005 spec.usage.fixedTokens is missing | say how many tokens onMissing: Fixed charges",
            "6:43 LR004 spec.usage.onDisconnect must be Charge or Free, not the string 'Keep' | did you mean Free?",
        ]),
        ("usage", "{includeUsage: true}", ["6:25 LR004 spec.usage.includeUsage must be Force or Keep, not the boolean true"]),
        ("usage", "{onMising: Free}", ["6:11 LR003 spec.usage.onMising is not a field of an LLMRoute | did you mean onMissing?"]),
        ("usage", "[]", ["6:10 LR004 spec.usage must be a mapping, not a list"]),
        ("admission", "{maxTokens: 0}", ["6:26 LR004 spec.admission.maxTokens must be at least 1, not 0"]),
        ("admission", "{maxTokens: 1000000001}", ["6:26 LR004 spec.admission.maxTokens must be at most 1000000000, not 1000000001"]),
        ("admission", "{maxTokens: 1.5}", ["6:26 LR004 spec.admission.maxTokens must be an integer, not the number 1.5"]),
        ("admission", "{maxToken: 5}", ["6:15 LR003 spec.admission.maxToken is not a field of an LLMRoute | did you mean maxTokens?"]),
    ],
)  # fmt: skip
def test_a_mistake_in_usage_or_admission(field: str, value: str, messages: list[str]) -> None:
    """Each at its place; ``Fixed`` and ``fixedTokens`` come together or not at all."""
    assert found(HEAD.replace("spec:\n", f"spec:\n  {field}: {value}\n")) == messages


def test_models_of_a_backend_are_refused_too() -> None:
    """``backends[].models`` is to come."""
    (message,) = found(HEAD + "    models: ['*']\n")
    assert message.startswith("10:5 LR006 spec.backends[0].models is not supported")


def test_all_mistakes_at_once_and_in_order() -> None:
    """Three documents' mistakes come together, each at its place."""
    other = HEAD.replace("name: gateway", "nam: gateway").replace("name: r", "name: R_2")
    text = f"{RULES}        - limits: [{{quantity: x}}]\n---\n{other}---\n{HEAD.replace('v1alpha1', 'v2')}"
    assert [m.split(" ")[:2] for m in found(text)] == [
        ["13:31", "LR004"],
        ["18:9", "LR021"],
        ["21:5", "LR005"],
        ["21:5", "LR003"],
        ["25:13", "LR020"],
    ]


@pytest.mark.parametrize(
    "text", ["", "---\n", "kind: Service\napiVersion: v1\nmetadata: {name: x}\n", "[]", "just text"]
)
def test_a_stream_without_an_llmroute(text: str) -> None:
    """One finding says so and names the file."""
    (message,) = found(text)
    assert message.startswith("0:0 LR007 there is no LLMRoute to compile")


def test_an_llmroute_inside_a_list_is_not_passed_over() -> None:
    """``kubectl get -o yaml`` makes such lists; to pass it on untouched would be to ignore it."""
    inner = "\n".join(f"  {line}" for line in HEAD.splitlines()).replace("  api", "- api", 1)
    messages = found(f"apiVersion: v1\nkind: List\nitems:\n{inner}\n---\n{HEAD}")
    assert messages == ["4:3 LR022 an LLMRoute inside a List is not read | give it as a document of its own"]


def test_the_catalogue_has_no_code_twice() -> None:
    """An id means one thing."""
    ids = [code.id for name, code in vars(codes).items() if name.isupper()]
    assert sorted(ids) == [f"LR{n:03}" for n in range(1, len(ids) + 1)]


def test_the_original_document_is_fine() -> None:
    """The document that the project began with compiles, with a warning of the models that it leaves out."""
    example = Path(__file__).parents[2] / "manifests/examples/ratelimit-demo/llmroute.yaml"
    compiled = compile_policies([("f", example.read_text(encoding="utf-8"))], capabilities(ENVOY_GATEWAY))
    assert compiled.artifacts
    assert [str(d)[:23] for d in compiled.diagnostics] == ["f:20:15: warning LR024:"]
