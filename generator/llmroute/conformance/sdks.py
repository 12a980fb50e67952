"""The SDKs of OpenAI, Anthropic and Google, pointed at the gateway: what they send, and how long they wait."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Protocol, Self

import anthropic
import httpx2
import openai
from google import genai
from google.genai import errors, types

from llmroute import names
from llmroute.conformance.adapters.protocol import Upstream
from llmroute.conformance.case import Ask
from llmroute.conformance.checks import Check
from llmroute.conformance.exchange import WITHIN, Sender
from llmroute.conformance.sleeps import Sleeps
from llmroute.conformance.upstream import MARK_HEADER, SCRIPT_HEADER, Chunk, Script, Served, script_header
from llmroute.conformance.wire.fixture import Fixture
from llmroute.conformance.wire.load import load

FIXTURES: Final = {fixture.id: fixture for fixture in load()}
EVENTS: Final = {"content-type": "text/event-stream"}


class Reachable(Protocol):
    """A gateway with a scripted upstream behind it."""

    @property
    def url(self) -> str:
        """Where it takes traffic."""
        ...

    @property
    def upstream(self) -> Upstream:
        """Where its backends lead."""
        ...


class Caller:
    """One user at the gateway, with the connections of all SDKs.

    ``headers`` go with every request. ``answers`` are those to every attempt, in order.
    """

    def __init__(self, gateway: Reachable, user: str = "") -> None:
        self._gateway = gateway
        self.user = user or f"user-{uuid.uuid4().hex[:12]}"
        self.headers = {names.USER_HEADER: self.user}
        self.answers: list[httpx2.Response] = []
        self._marks: list[str] = []
        self._script: Script | None = None
        hooks: dict[str, list[Callable[..., Any]]] = {"request": [self._send], "response": [self.answers.append]}
        self._http = httpx2.Client(event_hooks=hooks, timeout=WITHIN, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def command(self, script: Script | None) -> None:
        """What the upstream answers from now on."""
        self._script = script

    def _send(self, request: httpx2.Request) -> None:
        self._marks.append(uuid.uuid4().hex)
        request.headers.update(self.headers)
        request.headers[MARK_HEADER] = self._marks[-1]
        if self._script is not None:
            request.headers[SCRIPT_HEADER] = script_header(self._script)

    @property
    def served(self) -> list[Served | None]:
        """What the upstream saw of each attempt."""
        return [self._gateway.upstream.served(mark) for mark in self._marks]

    def openai(self, **options: Any) -> openai.OpenAI:
        """As somebody sets it up who knows the gateway's address alone."""
        return openai.OpenAI(base_url=f"{self._gateway.url}/v1", api_key="key", http_client=self._http, **options)

    def anthropic(self, **options: Any) -> anthropic.Anthropic:
        """The same for Anthropic's."""
        return anthropic.Anthropic(base_url=self._gateway.url, api_key="key", http_client=self._http, **options)

    def gemini(self, retry: types.HttpRetryOptions | None = None) -> genai.Client:
        """The same for Google's, which retries only when it is told to."""
        options = types.HttpOptions(base_url=self._gateway.url, httpx_client=self._http, retry_options=retry)
        return genai.Client(api_key="key", vertexai=False, http_options=options)


class Asking(Protocol):
    """One call of an SDK, to its end; gives the text of the answer."""

    def __call__(self, caller: Caller) -> str:
        """Make it with the caller's SDK."""
        ...


@dataclass(frozen=True, slots=True)
class Call:
    """``refused`` is what the SDK raises on a 429. ``script`` makes the upstream answer, ``total`` tokens long."""

    name: str
    ask: Asking
    refused: type[Exception]
    script: Script | None
    total: int
    text: str

    @property
    def retries(self) -> int:
        """How often the SDK tries again unless it is told otherwise."""
        return 0 if self.refused is errors.ClientError else 2


HELLO: Final[list[Any]] = [{"role": "user", "content": "hello"}]


def _chat(caller: Caller) -> str:
    answer = caller.openai().chat.completions.create(model="gpt-4o-mini", messages=HELLO)
    return answer.choices[0].message.content or ""


def _chat_stream(caller: Caller) -> str:
    chunks = caller.openai().chat.completions.create(model="gpt-4o-mini", messages=HELLO, stream=True)
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


def _embeddings(caller: Caller) -> str:
    answer = caller.openai().embeddings.create(model="text-embedding-3-small", input="hello", encoding_format="float")
    return answer.object


def _responses(caller: Caller) -> str:
    return caller.openai().responses.create(model="gpt-4.1", input="hello").output_text


def _responses_stream(caller: Caller) -> str:
    events = caller.openai().responses.create(model="gpt-4.1", input="hello", stream=True)
    return "".join(event.delta for event in events if event.type == "response.output_text.delta")


def _messages(caller: Caller) -> str:
    answer = caller.anthropic().messages.create(model="claude-test", max_tokens=64, messages=HELLO)
    return "".join(block.text for block in answer.content if block.type == "text")


def _messages_stream(caller: Caller) -> str:
    with caller.anthropic().messages.stream(model="claude-test", max_tokens=64, messages=HELLO) as stream:
        return "".join(stream.text_stream)


def _gemini(caller: Caller) -> str:
    return caller.gemini().models.generate_content(model="gemini-2.5-flash", contents="hello").text or ""


def _gemini_stream(caller: Caller) -> str:
    chunks = caller.gemini().models.generate_content_stream(model="gemini-2.5-flash", contents="hello")
    return "".join(chunk.text or "" for chunk in chunks)


def _script(fixture: Fixture, headers: Mapping[str, str] | None = None) -> Script:
    """The upstream's answer of a fixture, event by event."""
    ends = b"\r\n\r\n" if b"\r\n\r\n" in fixture.answer else b"\n\n"
    pieces = [piece + ends for piece in fixture.answer.split(ends) if piece] if headers else [fixture.answer]
    return Script(chunks=tuple(Chunk(piece) for piece in pieces), headers=headers or {})


def _wired(  # noqa: PLR0913 a row of the table below
    name: str, ask: Asking, refused: type[Exception], fixture: str, text: str, *, events: bool = False
) -> Call:
    found = FIXTURES[fixture]
    return Call(name, ask, refused, _script(found, EVENTS if events else None), found.numbers.total, text)


def _calls() -> Iterator[Call]:
    limited: type[Exception] = openai.RateLimitError
    usage = {"prompt_tokens": 20, "completion_tokens": 22, "total_tokens": 42}
    yield Call("openai-chat", _chat, limited, Script(usage=usage, deltas=2), 42, "I'm")
    yield Call("openai-chat-stream", _chat_stream, limited, Script(usage=usage, deltas=2), 42, "I'm")
    yield Call(
        "openai-embeddings", _embeddings, limited, Script(usage={"prompt_tokens": 8, "total_tokens": 8}), 8, "list"
    )
    yield _wired("openai-responses", _responses, limited, "responses-json", "Hi")
    yield _wired("openai-responses-stream", _responses_stream, limited, "responses-stream", "Hi", events=True)
    limited = anthropic.RateLimitError
    yield _wired("anthropic", _messages, limited, "anthropic-json", "Hé")
    yield _wired("anthropic-stream", _messages_stream, limited, "anthropic-stream", "Hi", events=True)
    yield _wired("gemini", _gemini, errors.ClientError, "gemini-json", "Hé")
    yield _wired("gemini-stream", _gemini_stream, errors.ClientError, "gemini-sse", "Hé", events=True)


CALLS: Final = tuple(_calls())
"""Every API that a gateway of models is asked by, in one piece and as a stream."""


def ask(step: Ask, sender: Sender) -> Iterator[Check]:
    """Make a call, and look at its attempts: their statuses, what was slept between them, what the SDK made of it."""
    call = next(each for each in CALLS if each.name == step.call)
    sleeps = Sleeps()
    raised = text = ""
    with Caller(sender, sender.user) as caller, sleeps.instead():
        caller.command(step.script or call.script)
        try:
            text = call.ask(caller)
        except Exception as error:  # noqa: BLE001 what an SDK raises is what its user sees
            raised = type(error).__name__
        attempts = [answer.status_code for answer in caller.answers]
        reached = [served is not None for served in caller.served]
        told = [float(answer.headers.get("retry-after", "nan")) for answer in caller.answers[:-1]]
    yield Check("attempts", list(step.statuses), attempts)
    yield Check("attempts that reached the upstream", [status == 200 for status in step.statuses], reached)
    yield Check("raises", step.raises or "nothing", raised or "nothing")
    if not step.raises:
        yield Check("the answer", call.text, text)
    waits = "as told" if step.waits else "never"
    slept = (
        "as told" if sleeps.seconds == told and step.waits else "never" if not sleeps.seconds else f"{sleeps.seconds} s"
    )
    yield Check("sleeps", waits, slept)
