"""What is compared, how a difference is shown, and what of an answer is left alone where a gateway does not tell it."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from llmroute.conformance.applies import lacking, needs_of
from llmroute.conformance.case import Api, Case, Expect, Pass, Profile, Request, Seen, Send, Watch, values_of
from llmroute.conformance.cases import chosen
from llmroute.conformance.checks import Check, of_answer, of_bytes
from llmroute.conformance.exchange import Answer
from llmroute.conformance.features import Admission, Feature
from llmroute.conformance.policies import USERS, header, limit, per_user, route, rule, text
from llmroute.conformance.reading import read_for
from llmroute.conformance.rows import STREAM, UNASKED, ok, refused
from llmroute.conformance.upstream import Served

ALL = frozenset(Feature)
REFUSAL: dict[str, Any] = {
    "error": {"type": "tokens", "param": None, "code": "rate_limit_exceeded", "message": "Rate limit reached"}
}
HEADERS = {
    "content-type": "application/json",
    "x-ratelimit-remaining-tokens": "0",
    "retry-after": "61",
    "retry-after-ms": "61000",
    "x-should-retry": "false",
}


def differing(answer: Answer, expect: Expect, features: frozenset[Feature] = ALL) -> dict[str, tuple[Any, Any]]:
    """What is not as it must be: expected and observed."""
    return {c.what: (c.expected, c.observed) for c in of_answer(answer, expect, features) if not c.ok}


def refusal(body: Any = REFUSAL, **headers: str | None) -> Answer:
    """A refusal as it must be, but for these headers (underscores for dashes); None leaves one out."""
    said = HEADERS | {name.replace("_", "-"): value for name, value in headers.items()}
    pairs = tuple((name, value) for name, value in said.items() if value is not None)
    return Answer(429, pairs, json.dumps(body).encode(), None)


EXPECTED = Expect((429,), reached=False, refusal=Api.OPENAI)


def test_a_refusal_as_it_must_be() -> None:
    """Nothing differs."""
    assert differing(refusal(), EXPECTED) == {}


@pytest.mark.parametrize(
    ("answer", "what", "observed"),
    [
        (refusal(retry_after="0", retry_after_ms="0", x_should_retry=None), "retry-after", "0"),
        (refusal(retry_after="soon", retry_after_ms="0", x_should_retry=None), "retry-after", "soon"),
        (refusal(retry_after_ms="61"), "retry-after-ms", "61"),
        (refusal(retry_after_ms=None), "retry-after-ms", "absent"),
        (refusal(x_should_retry=None), "x-should-retry", "absent"),
        (refusal(retry_after="60", retry_after_ms="60000"), "x-should-retry", "false"),
        (refusal(x_ratelimit_remaining_tokens="1"), "x-ratelimit-remaining-tokens", "1"),
        (refusal(content_type="text/plain"), "content-type", "text/plain"),
        (refusal({"error": REFUSAL["error"] | {"type": "requests"}}), "error.type", "requests"),
        (refusal({"error": REFUSAL["error"] | {"message": ""}}), "error.message", False),
        (refusal({"error": "no object"}), "error.code", "absent"),
        (refusal([]), "error.code", "absent"),
    ],
)
def test_each_part_of_a_refusal_counts(answer: Answer, what: str, observed: object) -> None:
    """One that is wrong is seen; it is left alone where the gateway does not say that it speaks so."""
    assert differing(answer, EXPECTED)[what][1] == observed
    assert differing(answer, EXPECTED, frozenset()) == {}


def test_shapes_of_the_other_apis() -> None:
    """Anthropic's and Gemini's."""
    anthropic = refusal({"type": "error", "error": {"type": "rate_limit_error", "message": "x"}})
    gemini = refusal({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "x"}})
    for api, right, wrong in ((Api.ANTHROPIC, anthropic, gemini), (Api.GEMINI, gemini, anthropic)):
        expect = Expect((429,), reached=False, refusal=api)
        assert differing(right, expect) == {}
        assert differing(wrong, expect)


def served(body: bytes = b"{}", **headers: str) -> Served:
    """What an upstream got."""
    return Served(1, "POST", "/v1/x", tuple((name.replace("_", "-"), value) for name, value in headers.items()), body)


def test_what_the_upstream_saw() -> None:
    """Body, model, path, headers and fields, each by its own check."""
    seen = Seen(body=b"{}", model="m", path="/v1/x", fields={"a": 1}, headers={"x-there": "yes", "x-gone": None})
    right = served(x_ai_gateway_llm_model_name="m", x_there="yes")
    expect = Expect((200,), upstream=seen)
    assert differing(Answer(200, (), b"", right), expect) == {"the upstream's a": ("1", "null")}
    wrong = served(b"{ }", x_ai_gateway_llm_model_name="free", x_gone="no")
    assert differing(Answer(200, (), b"", wrong), expect).keys() == {
        "the upstream's body",
        "the upstream's model header",
        "the upstream's x-there",
        "the upstream's x-gone",
        "the upstream's a",
    }


def test_what_an_answer_says() -> None:
    """What remained, part of the body, all of it, headers."""
    expect = Expect((200,), left=5, says="hello", gets=b"hello", told={"x-a": "1", "x-b": None})
    right = Answer(200, (("x-ratelimit-remaining-tokens", "5"), ("X-A", "1")), b"hello", served())
    assert differing(right, expect) == {}
    wrong = Answer(200, (("x-ratelimit-remaining-tokens", "4"), ("x-b", "1")), b"bye", served())
    assert differing(wrong, expect).keys() == {
        "x-ratelimit-remaining-tokens",
        "the body says",
        "the body",
        "x-a",
        "x-b",
    }
    assert differing(wrong, expect, frozenset()).keys() == {"the body says", "x-a", "x-b"}
    assert differing(Answer(503, (), b"", None), Expect((500, 503), reached=False)) == {}
    assert differing(Answer(500, (), b"", served()), Expect((503,), reached=False)) == {
        "status": (503, 500),
        "reached the upstream": (False, True),
    }


@pytest.mark.parametrize(
    ("expected", "observed", "check"),
    [
        (b"abc", b"abc", Check("x", "abc", "abc")),
        (b"a" * 500, b"a" * 500, Check("x", "500 bytes, as they must be", "500 bytes, as they must be")),
        (b"abc", b"abd", Check("x", "from byte 2 of 3: abc", "from byte 2 of 3: abd")),
        (b"abc", b"ab", Check("x", "from byte 2 of 3: abc", "from byte 2 of 2: ab")),
        (b"\xff", b"\xfe", Check("x", "from byte 0 of 1: \\xff", "from byte 0 of 1: \\xfe")),
    ],
)
def test_bytes(expected: bytes, observed: bytes, check: Check) -> None:
    """Where they part, with what is around."""
    assert of_bytes("x", expected, observed) == check


def needs(*steps: Any, policy: str = "", **more: Any) -> set[Feature]:
    """Of a case of these steps."""
    return set(needs_of(Case("id", "t", Profile.CORE, policy or per_user(10), steps, "p", **more)))


def test_what_a_case_needs_is_found_out() -> None:
    """From its policy, its steps, and whose counters it touches."""
    plain = (ok(1), refused())
    assert needs(*plain) == set()
    assert needs(ok(1)) == {Feature.COUNTERS}, "nothing else can go wrong"
    assert needs(*plain, policy=per_user(10, token="Prompt")) == {Feature.KINDS}
    assert needs(*plain, policy=per_user(10, weights={"prompt": 1, "completion": 2})) == {Feature.WEIGHTS}
    assert needs(*plain, policy=per_user(0, unit="Second", shadow=True)) == {
        Feature.ZERO,
        Feature.SHORT,
        Feature.SHADOW,
    }
    assert needs(*plain, policy=text(route(rule(limit(1)))), subjects=((),)) == {Feature.OF_ALL, Feature.RESET}
    of_model = text(
        route(rule(limit(1), headers=[header("x-ai-gateway-llm-model-name", "RegularExpression", "a.*"), *USERS]))
    )
    assert needs(*plain, policy=of_model) == {Feature.OF_MODELS, Feature.PATTERNS}
    assert needs(*plain, Pass(1.0)) == {Feature.CLOCK}
    assert needs(ok(1, body=UNASKED), refused()) == {Feature.FORCED_USAGE}
    assert needs(ok(1, body=STREAM), refused()) == set()
    assert needs(*plain, refused(user=None)) == {Feature.RESET, Feature.ANONYMOUS}
    assert needs(*plain, refused(path="/v1/messages")) == {Feature.ANTHROPIC}
    watch = Watch(Request(), (b"a", b"b"), Expect((200,)), leaves=1)
    assert needs(*plain, watch) == {Feature.TRANSPARENT, Feature.EARLY_END}


def test_whose_counter() -> None:
    """The user, a header, what is said in place of it; what nobody says is unknown."""
    request = Request(headers=(("X-Tag", "t-{user}"), ("x-tag", "second")), whose={"sub": "amy"})
    assert values_of(request, ("user", "model", "x-tag", "sub", "x-none"), "me") == (
        "me",
        "gpt-4o-mini",
        "t-me",
        "amy",
        "unknown",
    )
    assert values_of(Request(user="bob"), ("user",), "me") == ("bob-me",)
    assert values_of(Request(user=None), ("user",), "me") == ("anonymous",)


def test_the_other_rule_lowers_quantities_and_what_is_said_of_them() -> None:
    """And nothing else; a case about a rule is read as it is."""
    (case,) = chosen(ids=["last-token"])
    other = read_for(case, Admission.UP_TO)
    assert read_for(case, Admission.BELOW) is case
    assert other.policy == case.policy.replace("quantity: 100", "quantity: 99")
    assert [s.expect.left for s in other.steps if isinstance(s, Send)] == [99, 0, None]
    assert read_for(case, Admission.HELD, lambda *_: 3).policy == case.policy.replace("quantity: 100", "quantity: 102")
    (about,) = chosen(ids=["admits-up-to"])
    assert read_for(about, Admission.UP_TO) is about


def test_a_rule_with_holds_raises_what_tokens_are_limited_to() -> None:
    """By the hold of the request that is to be refused, less one; requests and 0 stay as they are."""
    limits = rule(limit(10), limit(0), limit(5, "Request"), limit(100, unit="Day"), headers=USERS)
    case = Case("c", "t", Profile.CORE, text(route(limits)), (ok(10, body={"n": 9}), refused()), "It.")

    def hold(quantity: int, request: Request) -> int:
        assert request.body == {}, "of what is refused"
        return 1 + quantity // 4

    documents = yaml.safe_load(read_for(case, Admission.HELD, hold).policy)
    (backend,) = documents["spec"]["backends"]
    (only,) = backend["trafficPolicy"]["rateLimit"]["rules"]
    assert [each["quantity"] for each in only["limits"]] == [13, 0, 5, 103], "13 // 4 and 10 are 13"
    with pytest.raises(ValueError, match="has to say how much it holds"):
        read_for(case, Admission.HELD)


def test_requests_at_one_time_are_not_asked_of_a_gateway_with_holds() -> None:
    """Of limits of tokens; of requests they are."""
    crowd, exact = chosen(ids=["KU-15"])[0], chosen(ids=["TZ-06"])[0]
    everything = frozenset(Feature)
    assert lacking(crowd, Admission.HELD, everything) == (
        "holds of requests at one time add up where requests are admitted while used + hold <= limit"
    )
    assert lacking(exact, Admission.HELD, everything) == ""
