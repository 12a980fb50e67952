"""A gateway that somebody configured by hand, from what ``llmroute conformance --plan`` prints."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NoReturn, Self

from llmroute.conformance.adapters.protocol import Clock, Gateway, Outage, Unavailable, Upstream
from llmroute.conformance.features import Admission, Feature
from llmroute.conformance.upstream import ScriptedUpstream
from llmroute.plan import Endpoint

POLICY: Final = "{policy}"
"""In the URL of a gateway: where each policy has an address of its own, its id."""


def policy_id(policy: str) -> str:
    """What a policy is called in a plan and in a URL: letters and digits, the same in every run."""
    return f"p{hashlib.sha256(policy.encode()).hexdigest()[:10]}"


@dataclass
class ByHand:
    """The gateway at ``url``, whose backends lead to an upstream that listens on ``listen`` while the run lasts.

    ``features`` and ``admission`` are what its owner says of it; its counters cannot be read. ``settles``: seconds
    after which a charge has landed.
    """

    url: str
    listen: Endpoint
    features: frozenset[Feature]
    admission: Admission = Admission.BELOW
    settles: float = 0.5
    name: str = field(default="gateway", init=False)
    version: str = "configured by hand"
    _upstream: ScriptedUpstream = field(init=False)

    def __post_init__(self) -> None:
        self._upstream = ScriptedUpstream(self.listen.host, self.listen.port)

    @property
    def upstream(self) -> Upstream:
        """In this process."""
        return self._upstream

    @contextlib.contextmanager
    def serve(self, policy: str, *, fail_open: bool = False) -> Iterator[Gateway]:
        """Whoever configured the gateway has put the policy in force."""
        del fail_open
        yield _Address(self.url.replace(POLICY, policy_id(policy)))

    def __enter__(self) -> Self:
        try:
            self._upstream.__enter__()
        except OSError as error:
            raise Unavailable(f"the upstream cannot listen on {self.listen}: {error.strerror or error}") from error
        return self

    def __exit__(self, *_: object) -> None:
        self._upstream.__exit__(None, None, None)


@dataclass(frozen=True, slots=True)
class _Address:
    """All that is known of such a gateway."""

    url: str

    def used(self, limit: int, *values: str) -> int:
        """Not here."""
        _cannot(f"read the counter of limit {limit + 1} of {values}")

    def reset(self) -> None:
        """Not here."""
        _cannot("empty counters")

    @property
    def clock(self) -> Clock:
        """Not here."""
        _cannot("set the time")

    @property
    def outage(self) -> Outage:
        """Not here."""
        _cannot("take the service away")

    def logs(self) -> str:
        """It keeps its own."""
        return ""


def _cannot(what: str) -> NoReturn:
    raise NotImplementedError(f"nobody can {what} of a gateway that is configured by hand")
