"""What the runner knows of a gateway: small, so that another gateway's team writes an adapter in an hour."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol, runtime_checkable

from llmroute.conformance.case import Request
from llmroute.conformance.features import Admission, Feature
from llmroute.conformance.upstream import Served


class Unavailable(Exception):  # noqa: N818 it is no error of the gateway's
    """The gateway cannot run here; the message names what is missing."""


class Unfit(Exception):  # noqa: N818 it is no error of the gateway's
    """A policy is of a kind that the gateway has no words for; the message says what it cannot say."""


class Away(Exception):  # noqa: N818 it is what a case wanted
    """Counters cannot be read while the service that has them is away."""


class Upstream(Protocol):
    """The scripted upstream, in this process or in a container."""

    def served(self, request_id: str) -> Served | None:
        """What was served for a request, by its ``x-llmroute-request``; None if it never came."""
        ...

    def release(self, name: str) -> None:
        """Let everything go on that holds for ``name``, now and later."""
        ...


class Outage(Protocol):
    """What can befall the service that counts. After each of the two it must be given back."""

    def kill(self) -> None:
        """It ends without a word; connections to it are refused."""
        ...

    def start(self) -> None:
        """It serves again, where it was."""
        ...

    def freeze(self) -> None:
        """It takes calls and never answers."""
        ...

    def thaw(self) -> None:
        """It answers again."""
        ...


class Clock(Protocol):
    """The time by which windows turn; it stands still but for ``set``."""

    @property
    def now(self) -> float:
        """In Unix seconds."""
        ...

    def set(self, seconds: float) -> None:
        """Go there, forward."""
        ...


class Gateway(Protocol):
    """A gateway with one policy in force.

    A member that belongs to a feature is called only where the adapter has that feature.
    """

    @property
    def url(self) -> str:
        """Where it takes traffic, without a slash at the end."""
        ...

    def used(self, limit: int, *values: str) -> int:
        """(COUNTERS) What a limit, by its place in the policy, has counted for these values of its Distinct headers.

        Raises:
            Away: the counters have gone with the service that an outage took away.
        """
        ...

    def reset(self) -> None:
        """(RESET) Empty all counters."""
        ...

    @property
    def clock(self) -> Clock:
        """(CLOCK) Its time."""
        ...

    @property
    def outage(self) -> Outage:
        """(OUTAGE) Of the service that counts."""
        ...

    def logs(self) -> str:
        """What its parts have to say, for a failed case; may be empty."""
        ...


class Adapter(Protocol):
    """A kind of gateway. Entered once for a run; nothing is left behind at the end."""

    @property
    def name(self) -> str:
        """As ``--stack`` and reports say it."""
        ...

    @property
    def version(self) -> str:
        """Of the gateway and what belongs to it."""
        ...

    @property
    def admission(self) -> Admission:
        """When it admits a request."""
        ...

    @property
    def features(self) -> frozenset[Feature]:
        """What it can do, and what it lets a case do."""
        ...

    @property
    def settles(self) -> float:
        """Seconds after which a charge has landed, for gateways whose counters cannot be read; others are asked."""
        ...

    @property
    def upstream(self) -> Upstream:
        """Where every backend of every policy leads."""
        ...

    def serve(self, policy: str, *, fail_open: bool = False) -> AbstractContextManager[Gateway]:
        """A gateway with this policy (an LLMRoute, as YAML) in force; it stays so until the context ends.

        ``fail_open`` is asked for where the adapter has that feature.

        Raises (on entering):
            Unfit: the gateway cannot say such limits; its cases are skipped with that reason.
        """
        ...

    def __enter__(self) -> object: ...

    def __exit__(self, *_: object) -> None: ...


@runtime_checkable
class Holding(Protocol):
    """An adapter that declares ``Admission.HELD``: how much its gateway holds of a limit for a request under way."""

    def hold(self, quantity: int, request: Request) -> int:
        """Tokens held for a request, by the least quantity of the limits of tokens that it is under."""
        ...
