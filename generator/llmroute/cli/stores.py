"""Where the counters are: the Redis of a rate limit service, or the embedded service of ``llmroute run``."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from llmroute import names
from llmroute.cli.exits import Failure, Usage

_WITHIN: Final = 5.0
"""Seconds for an answer."""
WHERE: Final = "say where the counters are: either --redis HOST:PORT or --service URL"
"""What a call that names no store, or two, is told."""
_AT_ONCE: Final = 1000
"""Keys that Redis looks at in one step."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Hits by key, and the time (Unix seconds) that they were read at."""

    counters: Mapping[str, int]
    now: float


class Store(Protocol):
    """Counters that can be read."""

    def read(self, domain: str) -> Reading:
        """All counters of a rate limit domain. Raises ``Failure`` when nobody answers."""
        ...


def store_of(redis: str | None, service: str | None) -> Store | None:
    """The store that the options ``--redis`` and ``--service`` name; None where neither is said.

    Raises ``Usage`` where both are.
    """
    if redis is not None and service is not None:
        raise Usage(WHERE)
    if redis is not None:
        return RedisStore(redis)
    return None if service is None else EmbeddedStore(service)


class RedisStore:
    """A Redis or Valkey, at ``HOST:PORT`` or ``redis[s]://[USER:PASSWORD@]HOST:PORT[/DATABASE]``. No cluster.

    ``Usage`` is raised for another address, ``ModuleNotFoundError`` without the client.
    """

    def __init__(self, address: str) -> None:
        import redis  # noqa: PLC0415 the embedded service is asked without it

        url = address if "://" in address else f"redis://{address}"
        self._errors: Any = redis.RedisError
        try:
            parts = urlsplit(url)
            self._place = f"{parts.hostname}:{parts.port or 6379}"  # without the password
            options = {"socket_timeout": _WITHIN, "socket_connect_timeout": _WITHIN, "decode_responses": True}
            self._client: Any = redis.Redis.from_url(url, **options, encoding_errors="surrogateescape")
        except ValueError as error:
            raise Usage("--redis: give HOST:PORT, or redis://USER:PASSWORD@HOST:PORT/DATABASE") from error

    def read(self, domain: str) -> Reading:
        """Ask for one step of keys after the other, so that nobody else waits long."""
        pattern = re.sub(r"([*?\[\]\\^])", r"\\\1", domain) + "_*"
        with self._asked():
            keys = list(dict.fromkeys(self._client.scan_iter(match=pattern, count=_AT_ONCE)))
            found: dict[str, int] = {}
            for start in range(0, len(keys), _AT_ONCE):
                some = keys[start : start + _AT_ONCE]
                found |= {k: int(v) for k, v in zip(some, self._client.mget(some), strict=True) if v and v.isdigit()}
        return Reading(found, time.time())

    def value(self, key: str) -> int | None:
        """One counter; None where there is none. Raises ``Failure`` for a key that holds something else."""
        with self._asked():
            kind, value = self._client.type(key), None
            if kind == "string":
                value = self._client.get(key)
        if kind == "none" or (kind == "string" and value is None):
            return None
        if value is None or not value.isdigit():
            raise Failure(f"{key} holds no number: it is no counter of a rate limit service")
        return int(value)

    def forget(self, key: str) -> int:
        """Delete one counter, and give what it had in the end; 0 where it was gone already."""
        with self._asked(), self._client.pipeline(transaction=True) as calls:
            calls.get(key)
            calls.delete(key)
            value, _ = calls.execute()
        return int(value or 0)

    @contextlib.contextmanager
    def _asked(self) -> Iterator[None]:
        try:
            yield
        except self._errors as error:
            raise Failure(f"the Redis at {self._place} does not answer as it should: {error}") from error


class EmbeddedStore:
    """The service of a ``llmroute run --status …``, by the URL that it prints."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        try:
            known = parts.scheme == "http" and bool(parts.hostname) and parts.port is not None
        except ValueError:
            known = False
        if not known:
            raise Usage(f"--service {url}: give the URL that llmroute run --status prints")
        self._place = parts.netloc

    def read(self, domain: str) -> Reading:
        """All counters of the running windows, of whatever domain, at the service's own time."""
        del domain
        connection = http.client.HTTPConnection(self._place, timeout=_WITHIN)
        try:
            connection.request("GET", names.COUNTERS_PATH)
            said = json.loads(connection.getresponse().read())
            return Reading({str(k): int(v) for k, v in said["counters"].items()}, float(said["now"]))
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError, AttributeError) as error:
            raise Failure(f"no llmroute run --status answers at {self._place}: {error}") from error
        finally:
            connection.close()
