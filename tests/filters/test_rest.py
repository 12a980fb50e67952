"""What the wasm filter charges itself when a stream is done, where the proxy cannot read what is due: once, or not at all."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from llmroute.render.lua import JSON
from tests.filters.proxy import CONTEXT, GATED, JSON_ANSWER, SSE_ANSWER, WASM, Headers, engine_named
from tests.filters.settling import ALL, DONE, SETTLE, USAGE, USER, Key, Service, answer, event
from tests.filters.wasm_engine import WasmEngine, WasmStream

LATE: Final[dict[str, JSON]] = {"rest": True, "late": True}
EARLY: Final[dict[str, JSON]] = {"rest": True}
WHOLE: Final[dict[Key, int]] = {USER: 37, ALL: 30}
REFUSAL: Final[Headers] = [
    (":status", "429"),
    ("x-ratelimit-limit", "9, 9;w=60"),
    ("x-ratelimit-remaining", "0"),
    ("x-ratelimit-reset", "12"),
]


@pytest.fixture(params=[WASM, GATED], scope="module")
def engine(request: pytest.FixtureRequest) -> WasmEngine:
    """The module, alone and with a gate before it."""
    made = engine_named(request.param)
    assert isinstance(made, WasmEngine)
    return made


def asked(engine: WasmEngine, service: Service | None, settle: dict[str, JSON], **sent: Any) -> WasmStream:
    """A request that was admitted."""
    assert isinstance(CONTEXT, dict)
    stream = engine.stream({**CONTEXT, "settle": {**SETTLE, **settle}})
    if service:
        stream.serve(service)
    body = json.dumps({"model": "gpt", "messages": [], "stream": True}).encode()
    stream.request(**({"body": body} | sent), headers=[("x-user-id", "ada")])
    return stream


def test_late_it_charges_when_the_stream_is_done(engine: WasmEngine) -> None:
    """All at once, and nobody has waited for anything."""
    service = Service()
    stream = asked(engine, service, LATE)
    assert stream.answer([answer()]).body == answer()
    assert (service.looked, service.charged) == ([], [])
    stream.done()
    assert (service.looked, service.charged) == ([], [WHOLE])


def test_a_client_that_leaves_pays_for_what_it_saw(engine: WasmEngine) -> None:
    """Two deltas of an answer that nobody has seen the end of, and the prompt's estimate."""
    service = Service()
    stream = asked(engine, service, LATE)
    stream.begin_answer([event(), event()], SSE_ANSWER)
    estimate = stream.metadata["prompt_estimate"]
    stream.done()
    assert service.charged == [{USER: estimate + 2, ALL: estimate}]


def test_it_charges_an_answer_once(engine: WasmEngine) -> None:
    """With ``settle: Sync`` before its end, and then nothing is left."""
    service = Service()
    stream = asked(engine, service, EARLY)
    stream.answer([event(), event(usage=USAGE), DONE], SSE_ANSWER)
    assert service.charged == [WHOLE]
    stream.done()
    assert service.charged == [WHOLE]


def test_what_could_not_be_charged_early_is_charged_then(engine: WasmEngine) -> None:
    """The service did not say that it has the limits; this time nobody asks."""
    service = Service(reply=lambda _: ({":status": "503"}, b"away"))
    stream = asked(engine, service, EARLY)
    stream.answer([answer()])
    assert (len(service.looked), service.charged) == (1, [])
    stream.done()
    assert (len(service.looked), service.charged) == (1, [WHOLE])


@pytest.mark.parametrize("settle", [LATE, EARLY], ids=["late", "early"])
@pytest.mark.parametrize(
    ("status", "chunks"),
    [(REFUSAL, None), ([(":status", "500"), *JSON_ANSWER[1:]], [answer()]), ([(":status", "503")], None)],
    ids=["refused", "failed", "away"],
)
def test_nothing_is_due(
    engine: WasmEngine, settle: dict[str, JSON], status: Headers, chunks: list[bytes] | None
) -> None:
    """A refusal by the proxy, an upstream's error, a service that is away."""
    service = Service()
    stream = asked(engine, service, settle)
    stream.answer(chunks, status)
    stream.done()
    assert (service.looked, service.charged) == ([], [])


def test_what_is_not_metered_is_not_charged(engine: WasmEngine) -> None:
    """A list of models is no answer of a model."""
    service = Service()
    stream = asked(engine, service, LATE, body=None, method="GET", path="/v1/models")
    stream.answer([answer()])
    stream.done()
    assert service.charged == []


def test_an_answer_that_never_came(engine: WasmEngine) -> None:
    """The client has left before, or the upstream was reset."""
    service = Service()
    asked(engine, service, LATE).done()
    assert service.charged == []


def test_a_charge_that_cannot_be_sent_is_a_fault(engine: WasmEngine) -> None:
    """There is no such cluster: it is logged."""
    stream = asked(engine, None, LATE)
    stream.answer([answer()])
    logs = stream.logs
    stream.done()
    assert logs == ["llmroute: a charge could not be sent"]
