"""The gateway that ``llmroute.testing`` gives: every charge has landed when an answer is there, and users are who they say."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from llmroute import names
from llmroute.conformance.policies import USERS, header, limit, per_user, route, rule, text, with_spec
from llmroute.emit.envoy_types import JWT_FILTER
from llmroute.limiter.window import Unit, window_start
from llmroute.local.settled import Unsettled, settle
from llmroute.testing import Gateway, PolicyError, Script, UnknownUser, serve
from llmroute.testing.clock import BEGIN

Serve = Callable[..., Gateway]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Serve]:
    """``served(policy, …)``: the gateway of these texts, each a file."""
    with ExitStack() as stack:

        def started(*policies: str) -> Gateway:
            files = [tmp_path / f"{n}.yaml" for n in range(len(policies))]
            for file, policy in zip(files, policies, strict=True):
                file.write_text(policy, encoding="utf-8")
            return stack.enter_context(serve(*files))

        yield started


def test_every_charge_has_landed_when_the_answer_is_there(served: Serve) -> None:
    """Read at once after each of 200 answers, streams among them; the charge of an answer is what it reported."""
    gateway = served(per_user(1_000_000))
    for n in range(1, 201):
        assert gateway.ask(user="alice", tokens=3, stream=n % 2 == 0).charged == {1: 3}
        assert gateway.used(user="alice") == 3 * n
    assert gateway.ask(user="alice").remaining == 1_000_000 - 600


def test_a_refusal(served: Serve) -> None:
    """429, not reached, nothing charged; and what the client is told."""
    gateway = served(per_user(10, unit="Hour"))
    assert gateway.ask(user="alice", tokens=10).admitted
    refusal = gateway.ask(user="alice", tokens=5)
    assert (refusal.status, refusal.reached, refusal.refused, refusal.admitted) == (429, False, True, False)
    assert (refusal.charged, refusal.remaining, refusal.retry_after, refusal.model) == ({}, 0, 3600, None)
    assert refusal.json()["error"]["code"] == "rate_limit_exceeded"
    assert gateway.used(user="alice") == 10
    assert repr(refusal).startswith("<alice asks gpt-4o-mini -> 429 refused, remaining 0, {")


def test_an_upstreams_own_429_is_no_refusal(served: Serve) -> None:
    """It was admitted, and costs nothing."""
    gateway = served(per_user(10))
    answer = gateway.ask(user="alice", tokens=5, status=429)
    assert (answer.status, answer.refused, answer.admitted, answer.charged) == (429, False, True, {})
    assert repr(answer) == "<alice asks gpt-4o-mini -> 429 admitted>"


def test_what_answers_report(served: Serve) -> None:
    """Kinds of tokens, a usage object, and no usage at all, for a fixed price."""
    kinds = [limit(100, token=kind) for kind in ("Prompt", "Completion", "Total")]
    gateway = served(
        text(with_spec(route(rule(*kinds, headers=USERS)), usage={"onMissing": "Fixed", "fixedTokens": 4}))
    )
    assert gateway.ask(user="a", tokens=10, prompt=3).charged == {1: 3, 2: 7, 3: 10}
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 9}
    assert gateway.ask(user="a", tokens=usage).charged == {1: 1, 2: 2, 3: 9}
    assert gateway.ask(user="a", script=Script(usage="absent")).charged == {1: 4, 2: 4, 3: 4}
    assert [gateway.used(n, user="a") for n in (1, 2, 3)] == [8, 13, 23]
    with pytest.raises(ValueError, match="of 3 tokens 4 cannot be the prompt's"):
        gateway.ask(user="a", tokens=3, prompt=4)


def test_the_clock(served: Serve) -> None:
    """It begins where every window does, moves when it is told, and never back."""
    assert {window_start(unit, BEGIN) for unit in Unit} == {BEGIN}
    gateway = served(per_user(10, unit="Month"))
    assert repr(gateway.clock) == "<Clock 2011-12-22 00:00:00>"
    gateway.ask(user="alice", tokens=10)
    gateway.clock.advance(weeks=4, days=1, hours=23, minutes=59, seconds=59)
    assert gateway.ask(user="alice").retry_after == 1
    gateway.clock.advance(seconds=1)
    assert gateway.used(user="alice") == 0
    assert gateway.ask(user="alice").admitted
    with pytest.raises(ValueError, match="the clock cannot go back by 60 seconds"):
        gateway.clock.advance(minutes=-1)
    gateway.reset()
    assert (gateway.counters(), gateway.asked, gateway.clock.now.timestamp()) == ((), [], BEGIN)


def test_backends(served: Serve) -> None:
    """Of one route and of another: the request names its backend, and limits are numbered through the policy."""
    one = route(openai=[rule(limit(10), headers=USERS)], selfhosted=[rule(limit(20), headers=USERS)])
    other = route(name="other", another=[rule(limit(30))])
    gateway = served(text(one, other))
    assert gateway.ask(user="a", backend="selfhosted", tokens=5).charged == {2: 5}
    answer = gateway.ask(user="a", backend="another", tokens=7)
    assert (answer.charged, answer.backend, answer.model) == ({3: 7}, "another", "gpt-4o-mini")
    assert gateway.used(user="a", backend="selfhosted") == 5
    assert gateway.used(3, user="b", backend="another") == 7
    said = [str(each) for each in gateway.counters()]
    assert said == ["limit 2 (20 tokens per hour) of a: 5 used", "limit 3 (30 tokens per hour): 7 used"]
    assert [each.left for each in gateway.counters()] == [15, 23]


def test_which_limit_is_meant(served: Serve) -> None:
    """Where it is not clear, the limits are named; where it does not apply, why."""
    mini = header(names.MODEL_HEADER, "Exact", "mini")
    gateway = served(text(route(rule(limit(10), limit(99, unit="Day"), headers=USERS), rule(limit(5), headers=[mini]))))
    with pytest.raises(LookupError, match="2 limits apply; those that do are: 1, 2"):
        gateway.used(user="a", model="x")
    with pytest.raises(LookupError, match="limit 3 does not apply: x-ai-gateway-llm-model-name is x, not mini"):
        gateway.used(3, user="a", model="x")
    with pytest.raises(LookupError, match="there is no limit 4 for it; those that do are: 1, 2, 3"):
        gateway.used(4, user="a", model="mini")


def by_key(*places: dict[str, Any]) -> tuple[str, str]:
    """A policy for clients with API keys at these places, and the Secret with the keys."""
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys", "namespace": "default"}}
    identity = {"apiKey": {"credentialRefs": [{"name": "keys"}], "extractFrom": list(places)}}
    policy = with_spec(route(rule(limit(10), headers=USERS)), identity=identity)
    return text(policy), text(secret | {"stringData": {"amy": "key-of-amy"}})


@pytest.mark.parametrize(
    "place",
    [{"headers": ["x-key"]}, {"headers": ["authorization"]}, {"cookies": ["llm"]}, {"params": ["key"]}],
    ids=["header", "bearer", "cookie", "parameter"],
)
def test_api_keys(served: Serve, place: dict[str, Any]) -> None:
    """Wherever the policy wants the key; who has none is not sent as anybody."""
    gateway = served(*by_key(place))
    assert gateway.ask(user="amy", tokens=10).charged == {1: 10}
    assert gateway.ask(user="amy").refused
    assert gateway.used(user="amy") == 10
    assert gateway.ask().status == 401
    with pytest.raises(UnknownUser, match="knows users by their API keys, and 'ben' has none; there are: amy"):
        gateway.ask(user="ben")
    assert len(gateway.asked) == 3


def test_api_keys_without_their_secret(served: Serve) -> None:
    """The policy's own finding names what is missing."""
    with pytest.raises(PolicyError, match=r"0\.yaml:\d+:\d+: error LR\d+: .*Secret"):
        served(by_key({"headers": ["x-key"]})[0])


def test_tokens(served: Serve) -> None:
    """Signed by us in place of the provider, with what the policy wants of a token; a claim deep inside is the user."""
    provider = {"name": "sso", "issuer": "https://sso.example.com", "audiences": ["llm"],
                "remoteJWKS": {"uri": "https://sso.example.com/jwks.json"}}  # fmt: skip
    tier = {"type": "Dynamic", "name": JWT_FILTER, "paths": [{"key": "sso"}, {"key": "tier"}], "value": "free"}
    rules = [rule(limit(10), headers=USERS), rule(limit(5), metadata=[tier])]
    identity = {"onMissing": "Reject", "jwt": {"provider": provider, "claim": "realm.name"}}
    gateway = served(text(with_spec(route(*rules), identity=identity)))
    assert gateway.ask(user="amy", tokens=4).charged == {1: 4}
    assert gateway.ask(user="amy", tokens=5, claims={"tier": "free", "realm": {"id": 3}}).charged == {1: 5, 2: 5}
    assert gateway.ask(user="ben", claims={"tier": "free"}).refused
    assert gateway.ask(user="amy", claims={"tier": "paid"}).admitted
    assert gateway.used(1, user="amy") == 10
    assert gateway.used(2, user="amy", metadata={"sso.tier": "free"}) == 5
    turned_away = gateway.ask()
    assert (turned_away.status, turned_away.refused, turned_away.charged) == (401, False, {})
    assert gateway.ask(headers={"authorization": "Bearer x.y.z"}).status == 401


def test_claims_where_nobody_reads_them(served: Serve) -> None:
    """They would be lost in silence."""
    gateway = served(per_user(10))
    with pytest.raises(UnknownUser, match=r"the LLMRoute route reads none: spec\.identity\.jwt does that"):
        gateway.ask(user="amy", claims={"tier": "free"})


def test_another_header_for_users(served: Serve) -> None:
    """As the policy names it."""
    by_team = [header("x-team", "Distinct")]
    gateway = served(text(with_spec(route(rule(limit(10), headers=by_team)), identity={"header": "x-team"})))
    gateway.ask(user="red", tokens=10)
    assert gateway.ask(user="red").refused
    assert gateway.ask(user="blue").admitted


def test_what_does_not_come_to_rest(served: Serve) -> None:
    """A stream that is held is under way, and who waits for its end is told so; when it is let go all is at rest."""
    gateway = served(per_user(10))
    stack = gateway._stack  # noqa: SLF001 the upstream is nobody's who asks in turn
    held = threading.Thread(target=gateway.ask, kwargs={"user": "a", "tokens": 7, "script": Script(hold="it")})
    held.start()
    try:
        stack.upstream.wait_for(lambda served: any(each.holding for each in served))
        begun = time.monotonic()
        with pytest.raises(Unsettled, match=r"not at rest after 0\.2 s: .*downstream_rq_active is 1"):
            settle(stack.gateway.envoy, within=0.2)
        assert time.monotonic() - begun >= 0.2
    finally:
        stack.upstream.release("it")
        held.join()
    assert gateway.counters()[0].used > 0


def test_what_is_wrong_with_a_policy(served: Serve, tmp_path: Path) -> None:
    """Each thing in a line, with its file; a file that is not there, too."""
    with pytest.raises(PolicyError) as wrong:
        served(per_user(-1), "kind: LLMRoute\n")
    assert [line.partition(".yaml:")[0][-1] for line in str(wrong.value).splitlines()] == ["0", "1"]
    with pytest.raises(PolicyError, match=r"none\.yaml: No such file or directory"), serve(tmp_path / "none.yaml"):
        pass
