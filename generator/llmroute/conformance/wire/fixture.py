"""What a fixture is: a request, the upstream's answer to it, and what must come of both."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any, Final

CONTENT_TYPE: Final = "content-type"
_OPTIONS: Final = "stream_options"
_INCLUDE: Final = "include_usage"


@dataclass(frozen=True, slots=True)
class Numbers:
    """What the filter must write. ``source`` is where from: reported, estimated, fixed or none."""

    prompt: int
    completion: int
    total: int
    source: str
    cached: int = 0
    cache_write: int = 0
    reasoning: int = 0


@dataclass(frozen=True, slots=True)
class Fixture:
    """One exchange. ``api`` is the name of its file, ``id`` is unique in all of them.

    ``covers`` names streams and bodies of the list of those to reproduce. ``headers`` go with the request.
    ``answer`` is what the upstream writes and ``client`` what must arrive: other bytes only where the filter
    asked for usage on the client's behalf.
    """

    id: str
    api: str
    title: str
    covers: tuple[str, ...]
    path: str
    headers: tuple[tuple[str, str], ...]
    request: bytes
    content_type: str
    answer: bytes
    client: bytes
    model: str
    numbers: Numbers

    @property
    def forced(self) -> bool:
        """Whether the client must not see all of the answer."""
        return self.answer != self.client

    def asked(self) -> Fixture:
        """The same for a client that asks for usage itself: it sees everything.

        Raises:
            ValueError: the request is no JSON object.
        """
        request = json.loads(self.request)
        if not isinstance(request, dict):
            raise ValueError(f"{self.id}: only a JSON object can ask for usage")  # noqa: TRY004 the file's fault
        options: dict[str, Any] = {**(request.get(_OPTIONS) or {}), _INCLUDE: True}
        return replace(self, id=f"{self.id}+asked", request=compact({**request, _OPTIONS: options}), client=self.answer)


def compact(value: Any) -> bytes:
    """JSON as servers write it: no blanks, text as it is."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
