"""What is aimed at, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from e2e.cost import figures
from e2e.cost.gateways import COUNTING, LITELLM, LUA, NATIVE, PLAIN, PROXY, WASM
from e2e.cost.loads import ALONE, JSON
from e2e.cost.raw import Raw
from tools.spread import Spread, spread

MET: Final = "met"


@dataclass(frozen=True, slots=True)
class Goal:
    """``most`` is what the median of ``figure`` may be; ``known``: whether a run has measured what it needs.

    ``why``: what is known of the reason where not every run is within it.
    """

    what: str
    unit: str
    most: float
    figure: Callable[[Raw], Spread]
    known: Callable[[Raw], bool] = lambda _: True
    why: str = ""

    def verdict(self, figure: Spread) -> str:
        """Whether it is met: by every run, by the median alone, or not."""
        if figure.median > self.most:
            return "**missed**"
        return MET if figure.most <= self.most else "met by the median, not by every run"


_ROUTES: Final = 1000


def _to_native(gateway: str) -> Callable[[Raw], Spread]:
    return lambda raw: figures.ratio(raw, gateway, NATIVE.name, JSON.name, figures.cpu(PROXY))


def _compiled(raw: Raw, figure: str) -> Spread:
    of = figures.by_size(raw.compilations)[_ROUTES]
    return spread([each.cpu if figure == "cpu" else each.mib for each in of])


def _has(gateway: str) -> Callable[[Raw], bool]:
    return lambda raw: gateway in raw.gateways()


def _compiles(raw: Raw) -> bool:
    return _ROUTES in figures.by_size(raw.compilations)


GOALS: Final = (
    Goal(
        f"CPU of Envoy for a request, Lua to Envoy's own filters ({JSON.name})",
        "x",
        1.0,
        _to_native(LUA.name),
        why="Of a small answer little is left that could be saved: `naive`, which reads one API and waits for whole answers, takes\n"
        "about what Envoy's own filters do. What the Lua takes beyond it is spread thin: cutting off any one of its parts saves 1 to 4%.\n"
        "No call of Envoy's Lua API takes over 0.7 us when it is repeated a hundred times in a request; once in each request, after two\n"
        "calls of the rate limit service, code and data are in no cache any more. LuaJIT's compiler makes no difference there. The native\n"
        "filters parse every body and every event whole, the Lua reads what it needs: with long streams and big bodies it takes less.",
    ),
    Goal(
        f"CPU of Envoy for a request, wasm to Envoy's own filters ({JSON.name})",
        "x",
        0.97,
        _to_native(WASM.name),
        _has(WASM.name),
        "In a profile (`perf`, 8,000 requests) the module, compiled by V8, has 5% of Envoy's samples, and about 5% are in parts of\n"
        "Envoy that the others do not use: what calls it, and what it calls. With larger answers and bodies it takes less than Envoy's own.",
    ),
    Goal(
        f"CPU of Envoy, ratelimit and Redis to LiteLLM and Redis ({JSON.name})",
        "x",
        1 / 15,
        lambda raw: figures.ratio(raw, LUA.name, LITELLM.name, JSON.name, figures.cpu()),
        _has(LITELLM.name),
    ),
    Goal(
        f"p99 of the time to the first byte that the Lua adds to check and charge ({ALONE.name})",
        "ms",
        0.3,
        lambda raw: figures.added(raw, LUA.name, COUNTING.name, ALONE.name, figures.first("p99")),
        why="Envoy's own filters add about as much (`native`, in the table of first bytes): on one connection a request is alone, and what\n"
        "is added is the time that reading its body and going on takes on cores whose caches others have used meanwhile.",
    ),
    Goal(
        "memory that the Lua adds to a proxying Envoy with its streams open",
        "MiB",
        10,
        lambda raw: figures.held(raw, LUA.name, PLAIN.name),
        why="A part of it is the check's own, which `ratelimit` has as well, and 2 to 3 MiB are there before any request: the script,\n"
        "compiled for each worker. The rest is what the Lua keeps of each stream.",
    ),
    Goal(
        "1,000 LLMRoutes compiled: CPU time, of one thread that waits for nothing",
        "s",
        2,
        lambda raw: _compiled(raw, "cpu"),
        _compiles,
    ),
    Goal("1,000 LLMRoutes compiled: memory", "MiB", 200, lambda raw: _compiled(raw, "mib"), _compiles),
    Goal(
        f"calls of the rate limit service for a request ({JSON.name})",
        "",
        2,
        lambda raw: figures.alone(raw, LUA.name, JSON.name, lambda sample: sample.calls),
    ),
    Goal(
        f"round trips to Redis for such a call ({JSON.name})",
        "",
        1,
        lambda raw: figures.alone(raw, LUA.name, JSON.name, lambda sample: sample.reads / sample.calls),
    ),
)


def judged(raw: Raw) -> Iterator[tuple[Goal, Spread]]:
    """Each goal that this run can judge, and its figure."""
    return ((goal, goal.figure(raw)) for goal in GOALS if goal.known(raw))
