"""The SDKs of OpenAI, Anthropic and Google, pointed at the gateway: what they send, and how long they wait.

An SDK that waits does not: its sleep is written down, and whoever listens may turn the clock.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Protocol, Self

import anthropic
import httpx2
import openai
import pytest
from google import genai
from google.genai import errors, types

from e2e.client import WITHIN
from e2e.stacks import Stack
from llmroute import names
from llmroute.conformance.upstream import MARK_HEADER, SCRIPT_HEADER, Chunk, Script, Served, script_header
from llmroute.conformance.wire.fixture import Fixture
from llmroute.conformance.wire.load import load

FIXTURES: Final = {fixture.id: fixture for fixture in load()}
EVENTS: Final = {"content-type": "text/event-stream"}


@dataclass
class Sleeps:
    """Stands in for the module ``time`` of an SDK. ``seconds`` says how long it would have slept."""

    seconds: list[float] = field(default_factory=list)
    then: Callable[[float], None] = lambda _: None

    def sleep(self, seconds: float) -> None:
        """Write it down, and let time pass by ``then``."""
        self.seconds.append(seconds)
        self.then(seconds)

    def __getattr__(self, name: str) -> Any:
        """Everything else is as it was."""
        return getattr(time, name)

    def take_over(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Become the clock of all three SDKs."""
        for module in ("openai._base_client", "anthropic._base_client", "tenacity.nap"):
            monkeypatch.setattr(f"{module}.time", self)


class Caller:
    """One user at the gateway, with the connections of all SDKs.

    ``headers`` go with every request. ``answers`` are those to every attempt, in order.
    """

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.user = f"user-{uuid.uuid4().hex[:12]}"
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
        return [self.stack.upstream.served(mark) for mark in self._marks]

    def openai(self, **options: Any) -> openai.OpenAI:
        """As somebody sets it up who knows the gateway's address alone."""
        return openai.OpenAI(base_url=f"{self.stack.url}/v1", api_key="key", http_client=self._http, **options)

    def anthropic(self, **options: Any) -> anthropic.Anthropic:
        """The same for Anthropic's."""
        return anthropic.Anthropic(base_url=self.stack.url, api_key="key", http_client=self._http, **options)

    def gemini(self, retry: types.HttpRetryOptions | None = None) -> genai.Client:
        """The same for Google's, which retries only when it is told to."""
        options = types.HttpOptions(base_url=self.stack.url, httpx_client=self._http, retry_options=retry)
        return genai.Client(api_key="key", vertexai=False, http_options=options)


class Ask(Protocol):
    """One call of an SDK, to its end; gives the text of the answer."""

    def __call__(self, caller: Caller) -> str:
        """Make it with the caller's SDK."""
        ...


@dataclass(frozen=True, slots=True)
class Call:
    """``refused`` is what the SDK raises on a 429. ``script`` makes the upstream answer, ``total`` tokens long."""

    name: str
    ask: Ask
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


def _wired(name: str, ask: Ask, refused: type[Exception], fixture: str, text: str, *, events: bool = False) -> Call:
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
