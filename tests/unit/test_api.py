"""Every mistake in an LLMRoute is found at once, with its place, its code and a remedy."""

from __future__ import annotations

import re
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
NO_PATHS = "say which of the filter's metadata, key by key: paths: [{key: claims}, {key: tenant}]"
FREE = "0 makes such tokens free; nothing gives tokens back"


@pytest.mark.parametrize(
    ("rule", "place", "says", "hint"),
    [
        ("{limits: [{quantity: '3'}]}", ".limits[0].quantity", "must be an integer, not the string '3'", "remove the quotes"),
        ("{limits: [{quantity: 1.5}]}", ".limits[0].quantity", "must be an integer, not the number 1.5", ""),
        ("{limits: [{quantity: -1}]}", ".limits[0].quantity", "must be at least 0, not -1", ""),
        ("{limits: [{quantity: 4294967296}]}", ".limits[0].quantity", "must be at most 4294967295, not 4294967296", "the service counts in 32 bits; a shorter unit needs a smaller quantity"),
        ("{limits: [{quantity: yes}]}", ".limits[0].quantity", "must be an integer, not the boolean true", ""),
        ("{limits: [{quantity: }]}", ".limits[0].quantity", "must be an integer, not empty", ""),
        ("{limits: [{}]}", ".limits[0].quantity", "is missing", ""),
        ("{limits: []}", ".limits", "needs at least 1 entry", ""),
        ("{}", ".limits", "is missing", ""),
        ("{limits: {}}", ".limits", "must be a list, not a mapping", ""),
        ("[]", "", "must be a mapping, not a list", ""),
        ("{limits: [{quantity: 1, typ: Token}]}", ".limits[0].typ", "is not a field of an LLMRoute", "did you mean type?"),
        ("{limits: [{quantity: 1, zz: 1}]}", ".limits[0].zz", "is not a field of an LLMRoute", "known here: type, quantity, unit, token, weights, shadow"),
        ("{limits: [{quantity: 1, type: token}]}", ".limits[0].type", "must be Request or Token, not the string 'token'", "did you mean Token?"),
        ("{limits: [{quantity: 1, type: Token, weights: {prompt: '0.1'}}]}", ".limits[0].weights.prompt", "must be a number, not the string '0.1'", "remove the quotes"),
        ("{limits: [{quantity: 1, type: Token, weights: {prompt: true}}]}", ".limits[0].weights.prompt", "must be a number, not the boolean true", ""),
        ("{limits: [{quantity: 1, type: Token, weights: {prompt: 1001}}]}", ".limits[0].weights.prompt", "must be at most 1000, not 1001", ""),
        ("{limits: [{quantity: 1, type: Token, weights: {cached: 1}}]}", ".limits[0].weights.cached", "is not a field of an LLMRoute", "did you mean cachedPrompt?"),
        ("{limits: [{quantity: 1, type: Token, token: total}]}", ".limits[0].token", "must be Total, Prompt or Completion, not the string 'total'", "did you mean Total?"),
        ("{limits: [{quantity: 1, shadow: 'yes'}]}", ".limits[0].shadow", "must be true or false, not the string 'yes'", ""),
        ("{metadata: [{name: a, paths: [{key: b}]}], limits: [{quantity: 1}]}", ".metadata[0].type", "is missing", ""),
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


@pytest.mark.parametrize(
    ("rule", "code", "place", "hint"),
    [
        ("{limits: [{quantity: 1, unit: Fortnight}]}", "LR025", "limits[0].unit must be Second, Minute, Hour, Day, Week, Month or Year, not the string 'Fortnight'", ""),
        ("{limits: [{quantity: 1, unit: minute}]}", "LR025", "limits[0].unit must be Second, Minute, Hour, Day, Week, Month or Year, not the string 'minute'", "did you mean Minute?"),
        ("{limits: [{quantity: 4294967296}]}", "LR033", "limits[0].quantity must be at most 4294967295, not 4294967296", "the service counts in 32 bits; a shorter unit needs a smaller quantity"),
        *(
            (f"{{limits: [{{quantity: 1, type: Token, weights: {{{kind}: -0.5}}}}]}}", "LR034", f"limits[0].weights.{kind} must be at least 0, not -0.5", FREE)
            for kind in ("prompt", "cachedPrompt", "cacheWrite", "completion", "reasoning")
        ),
        ("{metadata: [{type: Dynamic, name: a}], limits: [{quantity: 1}]}", "LR039", "metadata[0].paths needs at least 1 entry", NO_PATHS),
        ("{metadata: [{type: Dynamic, name: a, paths: []}], limits: [{quantity: 1}]}", "LR039", "metadata[0].paths needs at least 1 entry", NO_PATHS),
    ],
)  # fmt: skip
def test_a_mistake_with_a_code_of_its_own(rule: str, code: str, place: str, hint: str) -> None:
    """Those that a policy's reader may look up."""
    (message,) = found(f"{RULES}        - {rule}\n")
    assert message.split(" ", 1)[1] == f"{code} {RULE}.{place}" + (f" | {hint}" if hint else "")
    assert message.startswith("13:"), "the rule's line"


LIMIT = f"{RULES}        - limits:\n          - "


@pytest.mark.parametrize(
    ("limit", "messages"),
    [
        ("{type: Token, quantity: 1, token: Total, weights: {prompt: 1}}", ["14:54 LR037 weights say what each token costs, and token: Total says which ones count | remove token; a kind of token with the weight 0 does not count"]),
        ("{quantity: 1, token: Prompt}", ["14:27 LR038 token has no meaning here: the limit counts requests | say type: Token, or remove token"]),
        ("{type: Request, quantity: 1, weights: {prompt: 1}}", ["14:42 LR038 weights has no meaning here: the limit counts requests | say type: Token, or remove weights"]),
        ("{type: Token, quantity: 1, weights: {prompt: 0.1234567}}", ["14:58 LR036 prompt takes at most 6 decimals, and 0.1234567 has 7 | round it, or multiply the quantity and all weights by the same number"]),
        ("{type: Token, quantity: 1, weights: {cachedPrompt: 1e-7}}", ["14:64 LR036 cachedPrompt takes at most 6 decimals, and 0.0000001 has 7 | round it, or multiply the quantity and all weights by the same number"]),
        ("{type: Token, quantity: 1, weights: {prompt: 0, completion: 0}}", ["14:49 LR035 all weights are 0, so this limit counts nothing and never refuses | give the tokens that it is to count a weight"]),
        ("{type: Token, quantity: 1, weights: {prompt: 0, cachedPrompt: 0, cacheWrite: 0, completion: 0, reasoning: 0.0}}", ["14:49 LR035 all weights are 0, so this limit counts nothing and never refuses | give the tokens that it is to count a weight"]),
    ],
)  # fmt: skip
def test_what_a_limit_counts_is_said_once(limit: str, messages: list[str]) -> None:
    """A kind of token or weights, on a limit of tokens, with at least one weight and six decimals at most."""
    assert found(LIMIT + limit + "\n") == messages


@pytest.mark.parametrize(
    "limit",
    [
        "{type: Token, quantity: 1, weights: {}}",
        "{type: Token, quantity: 1, weights: {prompt: 0}}",
        "{type: Token, quantity: 1, weights: {prompt: 0, completion: 0, reasoning: 0.000001}}",
        "{type: Token, quantity: 1, weights: {prompt: 1000, cachedPrompt: 0.1, cacheWrite: 1.25, completion: 4}}",
        "{type: Token, quantity: 4294967295, token: Completion, unit: Year, shadow: true}",
    ],
)
def test_what_a_limit_may_count(limit: str) -> None:
    """No finding."""
    assert compile_policies([("f", LIMIT + limit + "\n")], capabilities(ENVOY_GATEWAY)).diagnostics == ()


def test_a_conflict_hides_no_other_finding() -> None:
    """It is told with those of the plan."""
    text = LIMIT + "{quantity: 1, token: Prompt}\n          headers: [{name: x_y, type: Distinct}]\n"
    assert [m.split(" ")[:2] for m in found(text)] == [["14:27", "LR038"], ["15:21", "LR013"]]


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


@pytest.mark.parametrize(
    ("field", "code", "says"),
    [
        ("identity: {jwt: {provider: {name: p, remoteJWKS: {uri: 'ftp://keys'}}}}", "LR004", "spec.identity.jwt.provider.remoteJWKS.uri must be an http or https URL, not 'ftp://keys'"),
        ("identity: {jwt: {provider: {name: P_1, localJWKS: {inline: '{}'}}}}", "LR021", "spec.identity.jwt.provider.name must be a Kubernetes name, not 'P_1'"),
        ("identity: {jwt: {provider: {name: p, localJWKS: {}}}}", "LR005", "spec.identity.jwt.provider.localJWKS.inline is missing"),
        ("identity: {apiKey: {}}", "LR005", "spec.identity.apiKey.credentialRefs is missing"),
        ("identity: {onMissing: reject}", "LR004", "spec.identity.onMissing must be Anonymous or Reject, not the string 'reject'"),
        ("identity: {jwks: {}}", "LR003", "spec.identity.jwks is not a field of an LLMRoute"),
        ("admission: {mode: Prepaid}", "LR004", "spec.admission.mode must be PostPaid, PrepaidPrompt or Reserve, not the string 'Prepaid'"),
        ("admission: {maxInFlight: 0}", "LR004", "spec.admission.maxInFlight must be at least 1, not 0"),
        ("trafficPolicy: {rateLimit: {rules: {}}}", "LR004", "spec.trafficPolicy.rateLimit.rules must be a list, not a mapping"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_fields_of_a_route(field: str, code: str, says: str) -> None:
    """The field as the user wrote it, in line 6."""
    (message,) = found(HEAD.replace("spec:\n", f"spec:\n  {field}\n"))
    assert message.startswith("6:")
    assert message.split(" ", 1)[1].split(" | ")[0] == f"{code} {says}"


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
    """An id means one thing, and the catalogue is in their order; LR050 is taken by what comes."""
    ids = [code.id for name, code in vars(codes).items() if name.isupper()]
    assert all(re.fullmatch(r"LR\d{3}", each) for each in ids)
    assert ids == sorted(set(ids))


def test_the_original_document_is_fine() -> None:
    """The document that the project began with compiles, with a warning of the models that it leaves out."""
    example = Path(__file__).parents[2] / "manifests/examples/ratelimit-demo/llmroute.yaml"
    compiled = compile_policies([("f", example.read_text(encoding="utf-8"))], capabilities(ENVOY_GATEWAY))
    assert compiled.artifacts
    assert [str(d)[:23] for d in compiled.diagnostics] == ["f:21:15: warning LR024:"]
