"""The adapter: policies, counters and outages of LiteLLM's proxy for the conformance suite."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

import redis

from e2e.litellm.holds import hold
from e2e.litellm.installation import environment
from e2e.litellm.proxy import Around, LiteLLMProxy, Setting
from e2e.litellm.translation import Limits, translate
from llmroute.conformance.adapters.outage import ProcessOutage
from llmroute.conformance.adapters.plain import plain_plan
from llmroute.conformance.adapters.protocol import Away, Clock, Gateway, Outage, Upstream
from llmroute.conformance.case import Request
from llmroute.conformance.features import Admission, Feature
from llmroute.conformance.upstream import ScriptedUpstream
from llmroute.local.valkey import ValkeyProcess
from tools.pins import pins

_KEPT: Final = 3
"""Proxies that run at one time, each with a setting of its own: a start takes ten seconds, each takes 400 MB."""


@dataclass
class LiteLLM:
    """One Redis, one upstream, and a proxy for each setting that policies need, the latest few of which run on.

    ``variables`` are put into the environment of the proxies, for what LiteLLM does not do by default.
    """

    variables: Mapping[str, str] = field(default_factory=dict)
    name: str = field(default="litellm", init=False)
    admission: Admission = field(default=Admission.HELD, init=False)
    settles: float = field(default=0.0, init=False)
    features: frozenset[Feature] = field(
        default=frozenset(
            {
                Feature.REQUESTS,
                Feature.KINDS,
                Feature.OF_ALL,
                Feature.OF_MODELS,
                Feature.SEVERAL,
                Feature.ZERO,
                Feature.REQUIRED_USER,
                Feature.FORCED_USAGE,
                Feature.ANTHROPIC,
                Feature.COMPLETIONS,
                Feature.EMBEDDINGS,
                Feature.GEMINI,
                Feature.RESPONSES,
                Feature.COUNTERS,
                Feature.RESET,
                Feature.OUTAGE,
            }
        ),
        init=False,
    )
    _upstream: ScriptedUpstream = field(default_factory=ScriptedUpstream, init=False)
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack, init=False)
    _proxies: dict[Setting, LiteLLMProxy] = field(default_factory=dict, init=False)
    _generation: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        """Raises ``Unavailable`` where LiteLLM is not installed and cannot be."""
        self._home = environment()

    @property
    def version(self) -> str:
        """Of LiteLLM."""
        return f"LiteLLM {pins()['LITELLM']}"

    @property
    def upstream(self) -> Upstream:
        """In this process."""
        return self._upstream

    def hold(self, quantity: int, request: Request) -> int:
        """As LiteLLM does by default."""
        return hold(quantity, request)

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="llmroute-litellm-")))
            stack.enter_context(self._upstream)
            self._valkey = stack.enter_context(ValkeyProcess(folder / "valkey", persist=True))
            self.outage = RedisOutage(self._valkey)
            host, port = self._valkey.address.split(":")
            self._counters = stack.enter_context(redis.Redis(host=host, port=int(port)))
            self._around = Around(self._upstream.port, int(port), folder / "policy.json", self.variables)
            stack.callback(self._stop)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _stop(self) -> None:
        while self._proxies:
            self._proxies.popitem()[1].stop()

    @contextlib.contextmanager
    def serve(self, policy: str, *, fail_open: bool = False) -> Iterator[Gateway]:
        """A proxy that goes by the policy."""
        del fail_open
        gateway = LiteLLMGateway(self, translate(plain_plan(policy, self._upstream.port)))
        gateway.reset()
        yield gateway

    def proxy(self, setting: Setting) -> LiteLLMProxy:
        """The one of this setting; the one that was not asked for the longest gives way to it.

        After an outage it is a new one: for a minute the others would ask Redis nothing.
        """
        if self.outage.happened:
            self._stop()
            self.outage.happened = False
        proxy = self._proxies.pop(setting, None)
        if proxy is None:
            if len(self._proxies) == _KEPT:
                self._proxies.pop(next(iter(self._proxies))).stop()
            proxy = LiteLLMProxy(self._home, setting, self._around)
            proxy.start()
        self._proxies[setting] = proxy
        return proxy

    def put(self, limits: Limits) -> str:
        """Have limits in force, for keys, teams and projects that nobody has seen; says what their names begin with."""
        self._generation += 1
        generation = f"g{self._generation}"
        fresh = self._around.table.with_suffix(".new")
        fresh.write_text(json.dumps(limits.table(generation)), "utf-8")
        fresh.replace(self._around.table)
        return generation

    def counted(self, name: str) -> int:
        """A counter by its name; 0 where there is none.

        Raises:
            Away: so is Redis.
        """
        try:
            found = self._counters.get(name)
        except redis.ConnectionError as error:
            raise Away(f"Redis: {error}") from error
        return int(float(found)) if isinstance(found, bytes) else 0


@dataclass
class RedisOutage(ProcessOutage):
    """Of Redis, which has every count on disk. ``happened``: since somebody last looked."""

    happened: bool = False

    def kill(self) -> None:
        """As a crash would."""
        self.happened = True
        super().kill()

    def freeze(self) -> None:
        """Stopped, its connections open."""
        self.happened = True
        super().freeze()


@dataclass
class LiteLLMGateway:
    """The proxy with one policy in force."""

    adapter: LiteLLM
    limits: Limits
    _generation: str = field(default="", init=False)
    _proxy: LiteLLMProxy = field(init=False)

    @property
    def url(self) -> str:
        """Of the proxy."""
        return self._proxy.url

    def used(self, limit: int, *values: str) -> int:
        """As LiteLLM has it in Redis."""
        return self.adapter.counted(self.limits.given[limit].counter(self._generation, values))

    def reset(self) -> None:
        """Counters are those of keys, teams and projects; new ones begin at 0, whatever the proxy remembers."""
        self._proxy = self.adapter.proxy(Setting(self.limits.window, self.limits.counts))
        self._generation = self.adapter.put(self.limits)

    @property
    def clock(self) -> Clock:
        """It has none."""
        raise NotImplementedError("LiteLLM's windows go by the clocks of this machine and of Redis")

    @property
    def outage(self) -> Outage:
        """Of Redis."""
        return self.adapter.outage

    def logs(self) -> str:
        """The proxy's last lines."""
        return self._proxy.log_tail(50)
