"""``docs/wasm.md`` in a cluster: its commands in their order, and what the module charges and refuses there. (``--stack kind``)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import pytest

from e2e.client import MODEL, Client, assert_refused
from e2e.conftest import Serve
from e2e.overtake import TOKENS, overtake
from e2e.stacks.kind_cluster import EXAMPLES, SYSTEM
from e2e.stacks.kubectl import Kubectl, wait_until
from e2e.stacks.protocol import charges_alone
from e2e.terminal import ROOT, Terminal, reader
from llmroute import names
from llmroute.conformance.upstream import Chunk, Script
from llmroute.conformance.windows import wait_until_clear
from llmroute.plan import Unit
from tests.documents import blocks_in, commands, section
from tests.policies import header, limit, route, rule, text

if TYPE_CHECKING:
    from e2e.stacks.kind import KindStack  # needs more than the other stacks

BLOCKS: Final = blocks_in(section((ROOT / "docs/wasm.md").read_text("utf-8"), "In a cluster, step by step"), "shell")
"""All that the part shows: a command more or less fails below."""
(EXPORT, SERVER, HOLD, READY), (GENERATE, APPLY, STATUS), (ANEW,), (TAKE_BACK, REMOVE) = map(commands, BLOCKS)
URL: Final = GENERATE.partition(" --wasm-url ")[2].split()[0]
ACCEPTED: Final = "Policy has been accepted.\n"
EVERY_USER: Final = [header(names.USER_HEADER, "Distinct")]
QUICKSTART_MODEL: Final = "gpt-4o-mini"
EVENT: Final = b'data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"x"}}]}\n\n'


@pytest.fixture(scope="module")
def served(kind: KindStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """A reader who has typed the first steps: the module is in the cluster until all tests are done."""
    with reader(kind.cluster, tmp_path_factory.mktemp("reader")) as terminal:
        try:
            for command in (EXPORT, SERVER, HOLD, READY):
                terminal.do(command)
            yield terminal
        finally:
            terminal.do(f"{REMOVE} --ignore-not-found")


@pytest.fixture
def wasm(kind: KindStack, served: Terminal) -> Iterator[KindStack]:
    """The stack, whose next policies go to the module."""
    assert served, "Envoy Gateway gets it there"
    kind.module_url = URL
    yield kind
    kind.module_url = None
    kind.withdraw()


def policy(quantity: int, model: str | None = None, **admission: str) -> str:
    """Every user may use so many tokens a day, of all models or of one."""
    of_model = [header(names.MODEL_HEADER, "Exact", model)] if model else []
    made = route(rule(limit(quantity, unit="Day"), headers=[*of_model, *EVERY_USER]))
    made["spec"] |= {"admission": admission} if admission else {}
    return text(made)


def filters_of(kind: KindStack) -> Counter[str]:
    """How many modules and scripts the extension policies of the cluster have."""
    specs = [p["spec"] for p in kind.cluster.kubectl.get("envoyextensionpolicies", "-A")["items"]]
    return Counter(engine for spec in specs for engine in ("wasm", "lua") for _ in spec.get(engine, []))


def test_the_steps_of_the_page(kind: KindStack, served: Terminal) -> None:
    """From the module to a refusal, and back: two filters, no script, no patch; 10 of 10 tokens, then 429; another user is served."""
    kind.withdraw()
    (served.folder / "policy.yaml").write_text((EXAMPLES / "quickstart/llmroute.yaml").read_text("utf-8"), "utf-8")
    served.do(GENERATE)
    served.do(APPLY)
    kind.follow((served.folder / "out/envoy-gateway.yaml").read_text("utf-8"))
    assert served.do(STATUS) == ACCEPTED
    assert filters_of(kind) == {"wasm": 2}
    assert kind.cluster.kubectl.get("envoypatchpolicies", "-A")["items"] == []
    wait_until_clear({Unit.HOUR})
    kind.reset()

    client = Client(kind)
    assert client.chat(10, model=QUICKSTART_MODEL).status == 200
    assert client.settled(10) == 10
    assert_refused(client.chat(5, model=QUICKSTART_MODEL))
    assert client.chat(4, user="another", model=QUICKSTART_MODEL).status == 200
    assert client.settled(4, 0, "another") == 4
    client.close()
    assert sorted(kind.counters().values()) == [4, 10]

    served.do(TAKE_BACK)
    assert served.do("kubectl get --ignore-not-found -o name -f out/envoy-gateway.yaml") == ""


def test_answers_and_streams_cost_what_they_report(wasm: KindStack, serve: Serve) -> None:
    """To the token, the usage that a stream was not asked for among it; then a refusal, which charges nothing."""
    client = serve(policy(100))
    assert charges_alone(wasm)
    assert client.chat(37).status == 200
    assert client.settled(37) == 37
    streamed = client.chat(63, body={"stream": True})
    assert streamed.status == 200
    assert streamed.served
    assert json.loads(streamed.served.body)["stream_options"] == {"include_usage": True}
    assert b"usage" not in streamed.body
    assert client.settled(100) == 100
    for body in ({}, {"stream": True}):
        assert_refused(client.chat(5, body=body))
    assert client.chat(8, user=f"{client.user}-2").status == 200
    assert client.settled(8, 0, f"{client.user}-2") == 8
    assert wasm.used(0, client.user) == 100


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
def test_who_has_read_the_answer_has_paid(wasm: KindStack, serve: Serve, stream: bool) -> None:
    """``settle: Sync``: 100 users use up their limit and ask again at once; all are refused, and each paid for one answer."""
    client = serve(policy(TOKENS, settle="Sync"))
    tries = overtake(wasm.url, 100, stream=stream)
    assert Counter((each.first, each.second) for each in tries) == {(200, 429): len(tries)}
    assert [each.user for each in tries if wasm.upstream.served(each.marks[1])] == []
    assert Counter(client.settled(TOKENS, 0, each.user) for each in tries) == {TOKENS: len(tries)}


@pytest.mark.parametrize("settle", ["Async", "Sync"])
def test_a_client_that_leaves_pays_for_what_it_saw(serve: Serve, wasm: KindStack, settle: str) -> None:
    """One event seen, no usage yet: the prompt's estimate and a token."""
    client = serve(policy(100, settle=settle))
    script = Script(
        headers={"content-type": "text/event-stream"}, chunks=(Chunk(EVENT), Chunk(EVENT, hold=client.user))
    )
    messages = [{"role": "user", "content": "12345678"}]
    expected = -(-len(json.dumps(messages)) // 4) + 1
    with client.stream({"messages": messages}, script=script) as response:
        assert next(response.iter_raw()) == EVENT
        assert wasm.used(0, client.user) == 0
    assert client.settled(expected) == expected
    wasm.upstream.release(client.user)


def test_the_limit_of_the_model_that_the_body_names(serve: Serve, wasm: KindStack) -> None:
    """Whatever a header says; a body in several pieces is read as one, and reaches the upstream as it was."""
    client = serve(policy(20, MODEL))
    claimed = {names.USER_HEADER: client.user, names.MODEL_HEADER: "free"}
    body = json.dumps({"messages": [{"role": "user", "content": "x" * 50_000}], "model": MODEL}).encode()
    pieces = [body[:1], body[1:20_000], body[20_000:-3], body[-3:]]
    script = Script(usage={"prompt_tokens": 15, "completion_tokens": 5, "total_tokens": 20})
    answer = client.send(iter(pieces), script=script, headers=claimed)
    assert answer.status == 200
    assert answer.served
    assert (answer.served.body, answer.served.header(names.MODEL_HEADER)) == (body, MODEL)
    assert client.settled(20) == 20
    assert_refused(client.send(iter(pieces), headers=claimed))
    assert_refused(client.send(body, headers=claimed))
    assert client.chat(9, model="another").status == 200
    assert wasm.used(0, client.user) == 20


def test_an_envoy_that_starts_has_the_module(serve: Serve, wasm: KindStack) -> None:
    """It is ready when its filters are: the first request is served, counted on, and the next one refused."""
    user = serve(policy(60)).user
    client = Client(wasm)
    assert client.chat(40, user=user).status == 200
    assert client.settled(40, 0, user) == 40
    client.close()
    wasm.crash("envoy")
    wasm.wait_for_part("envoy")
    wasm.disconnect()  # what was connected is gone
    client = Client(wasm)
    assert client.chat(20, user=user).status == 200
    assert client.settled(60, 0, user) == 60
    assert_refused(client.chat(5, user=user))
    client.close()


def test_without_the_server_nobody_is_served(serve: Serve, wasm: KindStack, served: Terminal) -> None:
    """When Envoy Gateway starts anew: 500 before the upstream, nothing charged, a status that says why. Then as the page says."""
    kubectl = wasm.cluster.kubectl
    user = serve(policy(1_000_000)).user
    passed = 0

    def ask() -> int:
        nonlocal passed
        client = Client(wasm)
        answer = client.chat(20, user=user)
        client.close()
        assert (answer.served is not None) == (answer.status == 200)
        passed += answer.status == 200
        return answer.status

    def start_anew() -> None:
        served.do(ANEW)
        wasm.wait_for_part("envoy-gateway")
        # The new one takes over from the old one, which is gone, when its lease ends: a quarter of a minute.
        kubectl("delete", "leases", "--all", "-n", SYSTEM)

    def replicas(number: int) -> None:
        kubectl("-n", "llmroute", "scale", "deployment", "filter", f"--replicas={number}")
        if number:
            served.do(READY)
        else:  # one that is going still serves where there is no other
            kubectl("-n", "llmroute", "wait", "pods", "--all", "--for=delete")

    assert ask() == 200
    replicas(0)
    try:
        start_anew()
        wait_until(lambda: ask() == 500, lambda: "a route that answers 500")
        wait_until(lambda: "wasm module download failed" in message(kubectl), lambda: "a status that says why")
    finally:
        replicas(2)
    start_anew()
    wait_until(lambda: ask() == 200, lambda: "a route that is served again")
    wait_until(lambda: message(kubectl) == ACCEPTED.strip(), lambda: "a policy that is accepted again")
    client = Client(wasm)
    assert client.settled(20 * passed, 0, user) == 20 * passed
    client.close()


def message(kubectl: Kubectl) -> str:
    """What Envoy Gateway says of the one extension policy."""
    (found,) = kubectl.get("envoyextensionpolicies", "-A")["items"]
    (condition,) = (c for a in found["status"]["ancestors"] for c in a["conditions"] if c["type"] == "Accepted")
    return str(condition["message"])
