"""The scripted upstream in a container: ``Upstream`` over its remote control."""

from __future__ import annotations

from typing import Final

import httpx

from llmroute.conformance.upstream import Served
from llmroute.conformance.upstream.control import RELEASE_PATH, SERVED_PATH, from_document

_WITHIN: Final = 10.0


class RemoteUpstream:
    """``url`` leads straight to the upstream: what comes through a gateway cannot command it."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=_WITHIN, trust_env=False)

    def served(self, request_id: str) -> Served | None:
        """What was served for a request; None if it never came."""
        response = self._http.get(SERVED_PATH, params={"request": request_id})
        if response.status_code == httpx.codes.NOT_FOUND:
            return None
        return from_document(response.raise_for_status().json())

    def release(self, name: str) -> None:
        """Let everything go on that holds for ``name``, now and later."""
        self._http.post(RELEASE_PATH, params={"name": name}).raise_for_status()

    def close(self) -> None:
        """Close the connection."""
        self._http.close()
