"""What a case is: a value, that a runner interprets. It holds a policy, steps, and what must come of each step.

In values of headers and counters ``{user}`` stands for the case's own user, who is new in every run.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from llmroute import names
from llmroute.conformance.features import Admission, Feature
from llmroute.conformance.upstream import Script

MODEL: Final = "gpt-4o-mini"
CHAT: Final = "/v1/chat/completions"
HELLO: Final = ({"role": "user", "content": "hello"},)
"""The messages of a request that does not say others."""
REFUSED: Final = 429

Headers = tuple[tuple[str, str], ...]
Subject = Sequence[str]
"""Whose counter a limit moves: ``user``, ``model``, a header's name, or what a request calls it in ``whose``."""
USER: Final[Subject] = ("user",)
ALL: Final[Subject] = ()


class Profile(enum.StrEnum):
    """What a case is about; a run may be of some of them."""

    CORE = "core"
    STREAMING = "streaming"
    FORMATS = "formats"
    ACCOUNTING = "accounting"
    ISOLATION = "isolation"
    CLIENT_CONTRACT = "client-contract"
    CONCURRENCY = "concurrency"
    FAULTS = "faults"


class Api(enum.StrEnum):
    """Whose shape a refusal has."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    GEMINI = "gemini"


@dataclass(frozen=True, slots=True)
class Request:
    """A request. ``user``: "" is the case's own, a name is somebody else, None sends no user header.

    ``body``: fields beside model and messages of a chat completion, or bytes as they stand. ``headers`` go as they are,
    in order. ``whose`` names subjects that no header of the request does. ``length`` False sends the body in chunks.
    """

    model: str = MODEL
    user: str | None = ""
    headers: Headers = ()
    body: Mapping[str, Any] | bytes = field(default_factory=dict)
    path: str = CHAT
    method: str = "POST"
    whose: Mapping[str, str] = field(default_factory=dict)
    length: bool = True

    @property
    def content(self) -> bytes:
        """The body's bytes."""
        if isinstance(self.body, bytes):
            return self.body
        return json.dumps({"model": self.model, "messages": list(HELLO)} | dict(self.body)).encode()


@dataclass(frozen=True, slots=True)
class Seen:
    """What must have reached the upstream, None where it does not matter: body, model header, path; JSON fields."""

    body: bytes | None = None
    model: str | None = None
    path: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Expect:
    """What must come of a request.

    ``statuses``: any of them. ``reached``: whether the upstream sees the request.
    ``charges``: by how much it moves the counter of each limit of the policy, in their order. ``left``: what the answer
    says remained at admission, ``by`` the kind of the limit that says so. ``refusal``: the shape of a refusal of the
    gateway's own. ``says`` is part of the body, ``gets`` all of it. ``told``: values of headers; None means absent.
    ``at_once``: the charge has landed when the answer ends.

    What only some gateways tell or do (``left``, ``refusal``, ``gets``, ``upstream``) is looked at where they have the
    feature; a case that is about it needs the feature.
    """

    statuses: tuple[int, ...]
    reached: bool = True
    charges: tuple[int, ...] = ()
    left: int | None = None
    by: str = "tokens"
    refusal: Api | None = None
    says: str = ""
    gets: bytes | None = None
    told: Mapping[str, str | None] = field(default_factory=dict)
    upstream: Seen = Seen()
    at_once: bool = False


@dataclass(frozen=True, slots=True)
class Send:
    """A request and its whole answer. With ``again`` it is sent until an expected status comes, within seconds."""

    request: Request
    script: Script
    expect: Expect
    again: bool = False


@dataclass(frozen=True, slots=True)
class Watch:
    """A stream, read piece by piece: the upstream writes each piece once the client has seen the one before.

    ``sees`` is what the client gets of each, by default the same. ``leaves``: after so many it closes the connection.
    With ``breaks`` the upstream cuts the connection after its last piece.
    """

    request: Request
    pieces: tuple[bytes, ...]
    expect: Expect
    sees: tuple[bytes, ...] | None = None
    leaves: int | None = None
    breaks: bool = False


@dataclass(frozen=True, slots=True)
class Together:
    """So many requests at one time: no answer begins before each is at the upstream or refused.

    ``requests`` take turns. ``admitted``: least and most of them. ``charges``: of each that is admitted;
    ``refused``: of each that is not. ``status`` is that of the others.
    """

    count: int
    script: Script
    admitted: tuple[int, int]
    charges: tuple[int, ...]
    requests: tuple[Request, ...] = (Request(),)
    refused: tuple[int, ...] = ()
    status: int = REFUSED


@dataclass(frozen=True, slots=True)
class Pass:
    """Time passes: so many seconds, after going to the beginning of the next window of ``window`` seconds."""

    seconds: float = 0.0
    window: int | None = None


class Act(enum.StrEnum):
    """What befalls the service that counts."""

    KILL = "kill"
    START = "start"
    FREEZE = "freeze"
    THAW = "thaw"


@dataclass(frozen=True, slots=True)
class Service:
    """The service that counts dies, or hangs, or is back."""

    act: Act


@dataclass(frozen=True, slots=True)
class Counted:
    """A counter that must read so."""

    limit: int
    values: tuple[str, ...]
    used: int


@dataclass(frozen=True, slots=True)
class Ask:
    """A call of a real SDK, by its name in ``sdks``: attempts by their statuses, and the seconds slept between.

    ``raises``: the name of the exception's class, empty for an answer. ``waits``: each retry has to sleep what the
    answer before it said; else nothing is slept.
    """

    call: str
    statuses: tuple[int, ...]
    charges: tuple[int, ...] = ()
    raises: str = ""
    waits: bool = False
    script: Script | None = None


Step = Send | Watch | Together | Pass | Service | Counted | Ask


@dataclass(frozen=True, slots=True)
class Case:
    """``subjects``: whose counter each limit of the policy moves. ``needs``: features, beside those that are derived.

    ``sources`` are ids of ``docs/cases.md``. ``fail_open``: with the gateway told to pass what nobody can count.
    ``admission``: the one rule that the case is about; other cases are read by the rule that an adapter has.
    """

    id: str
    title: str
    profile: Profile
    policy: str
    steps: tuple[Step, ...]
    proves: str = ""
    subjects: tuple[Subject, ...] = (USER,)
    needs: frozenset[Feature] = frozenset()
    sources: tuple[str, ...] = ()
    fail_open: bool = False
    admission: Admission | None = None


def placed(text: str, user: str) -> str:
    """The text with the case's user in place."""
    return text.replace("{user}", user)


def user_of(request: Request, own: str) -> str:
    """Who a request says it is: the case's own user, or somebody who is as new."""
    return f"{request.user}-{own}" if request.user else own


def values_of(request: Request, subject: Subject, own: str) -> tuple[str, ...]:
    """The values of the counter that a request moves."""
    said = {name.lower(): placed(value, own) for name, value in reversed(request.headers)}
    user = names.ANONYMOUS if request.user is None else user_of(request, own)
    known = {"user": user, "model": request.model} | said | {k: placed(v, own) for k, v in request.whose.items()}
    return tuple(known.get(each, names.UNKNOWN) for each in subject)
