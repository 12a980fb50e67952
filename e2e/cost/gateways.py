"""The gateways that are measured, as a table: another one is another row."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

import redis

from e2e.cost.load import Upstream
from e2e.cost.loads import TOKENS, Load
from e2e.cost.native import naive, native, plain, ratelimit_alone
from e2e.litellm.installation import environment
from e2e.litellm.proxy import Around, LiteLLMProxy, Setting
from e2e.litellm.translation import translate
from e2e.stacks.tools import tool
from llmroute import targets
from llmroute.conformance.adapters.plain import plain_plan
from llmroute.conformance.policies import header, limit, route, rule, text
from llmroute.emit.envoy_static import LISTENER, EnvoyOptions, envoy_static
from llmroute.emit.ratelimit_config import ratelimit_config
from llmroute.local.envoy import EnvoyProcess
from llmroute.local.gateway import LOOPBACK
from llmroute.local.ports import http_get, split_address
from llmroute.local.ratelimit import RatelimitProcess
from llmroute.local.valkey import ValkeyProcess
from llmroute.names import MODEL_HEADER, USER_HEADER
from llmroute.plan import Endpoint, Plan

PROXY: Final = "proxy"
RATELIMIT: Final = "ratelimit"
REDIS: Final = "Redis"
PARTS: Final = (PROXY, RATELIMIT, REDIS)
_CALLS: Final = "cluster.ratelimit.upstream_rq_completed"
"""Those that are answered: Redis has had its commands by then."""
Edit = Callable[[Plan, str], str]
"""From a plan and the bootstrap that llmroute makes of it to the one that is measured."""


def policy() -> str:
    """One token limit for each user and model, so high that nobody meets it."""
    selectors = [header(USER_HEADER, "Distinct"), header(MODEL_HEADER, "Distinct")]
    return text(route(rule(limit(1_000_000_000), headers=selectors), name="cost"))


@dataclass(frozen=True, slots=True)
class Counts:
    """Since a gateway runs: calls of the rate limit service; commands that Redis carried out, and reads that brought them.

    What one write of a client brings is one read: a read is a round trip.
    """

    calls: int = 0
    commands: int = 0
    reads: int = 0


class Store:
    """What a Redis says of itself, and the counters in it."""

    def __init__(self, address: str, counters: str) -> None:
        host, port = split_address(address)
        self._client = redis.Redis(host=host, port=port, decode_responses=True)
        self._counters = counters
        self._client.ping()  # what a client says of itself when it connects is not counted as a gateway's

    def close(self) -> None:
        """Leave it."""
        self._client.close()

    def counts(self) -> tuple[int, int]:
        """Commands and reads since its start. Asking is one of each."""
        said = cast("Mapping[str, Any]", self._client.info("stats"))
        return int(said["total_commands_processed"]), int(said["total_reads_processed"])

    def charged(self, users: str) -> int:
        """Sum of the counters of all whose names begin with ``users``."""
        keys = list(self._client.scan_iter(self._counters.format(users), count=10_000))
        values = cast("Sequence[str | None]", self._client.mget(keys)) if keys else []
        return sum(int(float(value)) for value in values if value)


@dataclass(frozen=True, slots=True)
class Gateway:
    """A running one. ``parts`` are its processes by what they are; ``calls`` those of the rate limit service so far."""

    url: str
    parts: Mapping[str, int] = field(default_factory=dict)
    calls: Callable[[], int] = lambda: 0
    store: Store | None = None

    def counts(self) -> Counts:
        """What has been counted so far."""
        return Counts(self.calls(), *(self.store.counts() if self.store else ()))


@dataclass(frozen=True, slots=True)
class Site:
    """What all gateways have around them. ``policy`` is the plan that they carry out."""

    upstream: str
    plan: Plan
    valkey: ValkeyProcess
    ratelimit: RatelimitProcess


@contextlib.contextmanager
def site() -> Iterator[Site]:
    """Start an upstream, and one rate limit service with its Redis for all Envoys.

    Raises:
        Unavailable: a program is not there; says how to get it.
    """
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="llmroute-cost-")))
        upstream = stack.enter_context(Upstream())
        plan = plain_plan(policy(), split_address(upstream.address)[1])
        (config,) = ratelimit_config(plan)
        file = folder / "cost.yaml"
        file.write_text(config.text, encoding="utf-8")
        valkey = stack.enter_context(ValkeyProcess())
        service = RatelimitProcess([file], valkey.address, binary=tool("ratelimit"))
        yield Site(upstream.address, plan, valkey, stack.enter_context(service))


@contextlib.contextmanager
def direct(site: Site) -> Iterator[Gateway]:
    """Nothing is in between."""
    yield Gateway(f"http://{site.upstream}")


@contextlib.contextmanager
def envoy(
    site: Site, edit: Edit = lambda _, bootstrap: bootstrap, *, engine: str = targets.LUA, limits: bool = True
) -> Iterator[Gateway]:
    """An Envoy of one worker on an edited bootstrap. Without ``limits`` it calls nobody."""
    anywhere = Endpoint(LOOPBACK, 0)
    ratelimit = Endpoint.parse(site.ratelimit.address)
    options = EnvoyOptions(listen=anywhere, admin=anywhere, ratelimit=ratelimit, engine=engine)
    bootstrap = edit(site.plan, envoy_static(site.plan, options).text)
    with contextlib.ExitStack() as stack:
        process = stack.enter_context(EnvoyProcess(bootstrap, concurrency=1))
        url = f"http://{Endpoint(*process.listener_address(LISTENER))}"
        parts = {PROXY: process.pid}
        if not limits:
            yield Gateway(url, parts)
            return
        parts |= {RATELIMIT: site.ratelimit.pid, REDIS: site.valkey.pid}
        store = stack.enter_context(contextlib.closing(Store(site.valkey.address, "*_{}-*")))
        yield Gateway(url, parts, partial(_calls, process), store)


def _calls(process: EnvoyProcess) -> int:
    _, said = http_get(process.admin_address, f"/stats?filter=^{_CALLS}$&format=json")
    (found,) = (each["value"] for each in json.loads(said)["stats"] if "value" in each)
    return int(found)


@contextlib.contextmanager
def litellm(site: Site) -> Iterator[Gateway]:
    """LiteLLM's proxy, one process, with a Redis of its own, as for the conformance suite."""
    limits = translate(site.plan)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="llmroute-cost-")))
        valkey = stack.enter_context(ValkeyProcess())
        table = folder / "policy.json"
        table.write_text(json.dumps(limits.table("cost")), "utf-8")
        around = Around(split_address(site.upstream)[1], split_address(valkey.address)[1], table)
        setting = Setting(limits.window, limits.counts)
        proxy = stack.enter_context(LiteLLMProxy(environment(), setting, around))
        store = stack.enter_context(contextlib.closing(Store(valkey.address, "{{model_per_key:cost-{}-*:tokens")))
        yield Gateway(proxy.url, {PROXY: proxy.pid, REDIS: valkey.pid}, store=store)


@dataclass(frozen=True, slots=True)
class Row:
    """One gateway of the table.

    ``charges``: what an answer to a load is charged, None where nothing is. ``share``: of the requests of a load, as many as take
    about as long as with the others. ``beside``: a run can do without it. ``whole``: it lets no answer go on before it has all
    of it, so that no stream can be held open.
    """

    name: str
    title: str
    start: Callable[[Site], AbstractContextManager[Gateway]]
    charges: Callable[[Load], int | None]
    share: float = 1.0
    beside: bool = False
    whole: bool = False


def _nothing(_: Load) -> None:
    return None


def _as_asked(load: Load) -> int:
    """By what asks for no usage: a stream that reports none is free."""
    return TOKENS if load.usage or not load.streams else 0


def _reported(_: Load) -> int:
    return TOKENS


DIRECT: Final = Row("direct", "the upstream itself", direct, _nothing)
PLAIN: Final = Row(
    "plain", "Envoy, proxying alone", partial(envoy, edit=lambda _, text: plain(text), limits=False), _nothing
)
COUNTING: Final = Row(
    "ratelimit", "Envoy, check and charge, no body read", partial(envoy, edit=ratelimit_alone), lambda _: 1
)
NATIVE: Final = Row(
    "native",
    "Envoy's own filters",
    partial(envoy, edit=native),
    _as_asked,
)
NAIVE: Final = Row(
    "naive",
    "a Lua of a few lines, which waits for whole answers",
    partial(envoy, edit=lambda _, text: naive(text)),
    _as_asked,
    whole=True,
)
LUA: Final = Row("lua", "llmroute, Lua", envoy, _reported)
WASM: Final = Row("wasm", "llmroute, wasm", partial(envoy, engine=targets.WASM), _reported)
LITELLM: Final = Row("litellm", "LiteLLM", litellm, _reported, share=1 / 10, beside=True)
ROWS: Final = (DIRECT, PLAIN, COUNTING, NATIVE, NAIVE, LUA, WASM, LITELLM)
