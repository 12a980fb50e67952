"""``backends[].models``: the model chooses the backend of a request that names none, and that backend's limits hold."""

from __future__ import annotations

import json
from typing import Any, Final

import httpx
import pytest
import yaml

from e2e import tokens
from e2e.client import CHAT, Answer, Client, assert_refused
from e2e.conftest import Serve
from llmroute import names
from llmroute.conformance.upstream import ScriptedUpstream
from llmroute.emit.envoy_static import LISTENER, EnvoyOptions, envoy_static
from llmroute.local.envoy import EnvoyProcess
from llmroute.lower import StandIns
from llmroute.pipeline import compile_policies
from llmroute.plan import Endpoint
from llmroute.targets import ENVOY, capabilities
from tests.policies import header, limit, route, rule, text

USERS: Final = [header(names.USER_HEADER, "Distinct")]
HUNDRED: Final = rule(limit(100, unit="Day"), headers=USERS)
TEN: Final = rule(limit(10, unit="Day"), headers=USERS)


def by_model(*, rest: bool = True, **spec: Any) -> dict[str, Any]:
    """``dear`` serves its own two models for 10 tokens a day, ``cheap`` one, or the rest, for 100."""
    policy = route(dear=[TEN], cheap=[HUNDRED])
    dear, cheap = policy["spec"]["backends"]
    dear["models"] = ["big", "bigger"]
    cheap["models"] = ["small", *(["*"] if rest else [])]
    policy["spec"] |= spec
    return policy


def chosen(answer: Answer) -> str | None:
    """The backend that the request went to, by its header; None if it went to none."""
    return answer.served.header(names.BACKEND_HEADER) if answer.served else None


@pytest.mark.parametrize(
    ("model", "backend", "limit_of"),
    [("big", "dear", 0), ("bigger", "dear", 0), ("small", "cheap", 1), ("whatever", "cheap", 1)],
)
def test_the_model_chooses_the_backend(serve: Serve, model: str, backend: str, limit_of: int) -> None:
    """And its limits, those of the others stay as they are."""
    client = serve(text(by_model()))
    answer = client.chat(7, model=model)
    assert (answer.status, chosen(answer)) == (200, backend)
    assert client.settled(7, limit_of) == 7
    assert client.stack.used(1 - limit_of, client.user) == 0


def test_the_limits_of_the_backend_refuse(serve: Serve) -> None:
    """Of two models of one backend the second meets what the first used; another backend's model does not."""
    client = serve(text(by_model()))
    assert client.chat(10, model="big").status == 200
    assert client.settled(10, 0) == 10
    assert_refused(client.chat(1, model="bigger"))
    assert client.chat(1, model="small").status == 200
    assert client.settled(1, 1) == 1
    assert client.stack.used(0, client.user) == 10


def test_a_client_that_names_a_backend_gets_it(serve: Serve) -> None:
    """Whatever the model; its limits are that backend's."""
    client = serve(text(by_model()))
    answer = client.chat(7, model="small", headers={names.BACKEND_HEADER: "dear"})
    assert (answer.status, chosen(answer)) == (200, "dear")
    assert client.settled(7, 0) == 7


def test_a_long_body_is_read_before_anybody_is_chosen(serve: Serve) -> None:
    """3 MB: the routes of the backends would hold them, and so does the one before."""
    client = serve(text(by_model()))
    answer = client.chat(7, model="big", body={"messages": [{"role": "user", "content": "x" * 3_000_000}]})
    assert (answer.status, chosen(answer)) == (200, "dear")
    assert client.settled(7, 0) == 7


def test_nobody_has_the_model(serve: Serve) -> None:
    """404 in the API's shape; nothing reaches a backend, nothing is charged."""
    client = serve(text(by_model(rest=False)))
    answer = client.chat(7, model="unheard-of")
    assert (answer.status, answer.served) == (404, None)
    assert answer.json()["error"]["code"] == "model_not_found"
    assert [client.stack.used(i, client.user) for i in (0, 1)] == [0, 0]
    assert client.chat(7, model="big").status == 200
    assert client.settled(7, 0) == 7


@pytest.mark.parametrize("sent", [["nobody"], ["nobody", "neither"], ["dear,cheap"], ["cheap", "nobody"]])
def test_a_backend_that_is_not_there_is_none(serve: Serve, sent: list[str]) -> None:
    """404, or the backend of ours among the names; never an answer that no limit counted."""
    client = serve(text(by_model()))
    body = json.dumps({"model": "big", "messages": []}).encode()
    headers = [(names.USER_HEADER, client.user), *((names.BACKEND_HEADER, name) for name in sent)]
    answer = client.send(body, headers=headers)
    if answer.served is None:
        assert answer.status == 404, answer.body
        assert answer.json()["error"]["code"]
        assert [client.stack.used(i, client.user) for i in (0, 1)] == [0, 0]
    else:
        assert (chosen(answer), client.settled(37, 1)) == ("cheap", 37)


def test_the_token_counts_before_anybody_is_chosen(serve: Serve) -> None:
    """Identity and choice together: the subject pays at the backend that its model leads to."""
    client = serve(text(by_model(identity={"jwt": {"provider": tokens.provider()}, "onMissing": "Reject"})))
    bearer = {"authorization": f"Bearer {tokens.token(sub=client.user)}"}
    answer = client.chat(7, model="big", user="somebody-else", headers=bearer)
    assert (answer.status, chosen(answer)) == (200, "dear")
    assert client.settled(7, 0) == 7
    assert client.stack.used(0, "somebody-else") == 0
    answer = client.chat(7, model="big")
    assert (answer.status, answer.served) == (401, None)


@pytest.mark.parametrize("script", ["error('a fault')", "handle:headers():add('x-a', 'b')"], ids=["fault", "no-choice"])
def test_without_the_filters_choice_nothing_is_answered(script: str) -> None:
    """A plain Envoy whose filter fails: 503 for whoever names no backend. ``test_translate`` has Envoy Gateway's 500."""
    with ScriptedUpstream() as upstream:
        stand_ins: StandIns = {None: Endpoint("127.0.0.1", upstream.port)}
        made = compile_policies([("policy.yaml", text(by_model()))], capabilities(ENVOY), stand_ins=stand_ins)
        options = EnvoyOptions(listen=Endpoint("127.0.0.1", 0), admin=Endpoint("127.0.0.1", 0))
        bootstrap = yaml.safe_load(envoy_static(made.plan, options).text)
        manager = bootstrap["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
        (lua,) = [each["typed_config"] for each in manager["http_filters"] if each["name"].endswith("lua")]
        lua["default_source_code"] = {"inline_string": f"function envoy_on_request(handle) {script} end"}
        with EnvoyProcess(yaml.safe_dump(bootstrap)) as envoy:
            host, port = envoy.listener_address(LISTENER)
            answer = httpx.post(f"http://{host}:{port}{CHAT}", json={"model": "big"}, trust_env=False)
        assert (answer.status_code, upstream.requests()) == (503, ())


@pytest.mark.parametrize(
    "sent", [["guarded"], ["guarded", "x"], ["x", "guarded"], ["guarded", "dear"], ["dear", "guarded"]]
)
def test_no_way_round_the_identity_of_another_route(serve: Serve, sent: list[str]) -> None:
    """Two routes on one listener: the open one's filter sends nobody to a backend of the one that asks for tokens.

    Envoy goes by whichever of several values leads to its first route.
    """
    client = serve(text(by_model(), guarded()))
    answer = attack(client, sent)
    if answer.served is None:
        assert answer.status in {401, 404}
        assert [client.stack.used(i, client.user) for i in (0, 1, 2)] == [0, 0, 0]
    else:
        assert (chosen(answer), client.settled(37, 0)) == ("dear", 37)


def guarded() -> dict[str, Any]:
    """Another route on the same gateway, whose backend wants a token."""
    policy = route(name="other", guarded=[HUNDRED])
    policy["spec"]["backends"].append({"backendRef": {"name": "second", "kind": "Backend"}})
    policy["spec"]["identity"] = {"jwt": {"provider": tokens.provider()}, "onMissing": "Reject"}
    return policy


def attack(client: Client, sent: list[str]) -> Answer:
    """A request without a token that says these names of backends."""
    body = json.dumps({"model": "big", "messages": []}).encode()
    headers = [(names.USER_HEADER, client.user), *((names.BACKEND_HEADER, name) for name in sent)]
    return client.send(body, headers=headers)
