"""The filter's Lua on LuaJIT, without Envoy: microseconds and MB/s, beside a naive reference."""

from __future__ import annotations

import importlib
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from llmroute.render.lua import MODULES
from tools.bench import bodies
from tools.spread import spread

SOURCES: Final = Path(__file__).parents[2] / "filters" / "lua" / "src"
HERE: Final = Path(__file__).parent
SSE: Final = b"text/event-stream"
JSON: Final = b"application/json"


@dataclass(frozen=True, slots=True)
class Row:
    """One measure: medians with the least and the most of several runs; the goal, where there is one."""

    name: str
    unit: str
    ours: tuple[float, float, float]
    naive: tuple[float, float, float] | None = None
    goal: float | None = None


class Bench:
    """One engine with the filter, the reference and the loops in it."""

    def __init__(self, seconds: float, repeats: int) -> None:
        self._seconds, self._repeats = seconds, repeats
        self.lua: Any = importlib.import_module("lupa.luajit21").LuaRuntime(encoding=None)
        # As sources: the bundle, whose bytecode is the same, gives modules other names.
        names = MODULES[:-1]
        sources = [
            f"local {name} = (function()\n{(SOURCES / f'{name}.lua').read_text('utf-8')}\nend)()\n" for name in names
        ]
        exports = ",".join(f"{name}={name}" for name in names)
        modules = self.lua.execute(("".join(sources) + f"return {{{exports}}}").encode())
        naive = self.lua.execute((HERE / "naive.lua").read_bytes())
        self._loops = self.lua.execute((HERE / "bench.lua").read_bytes(), modules, naive)

    @property
    def version(self) -> str:
        """Engine and whether its compiler is on."""
        on = self.lua.eval(b"(jit.status())")
        return f"{self.lua.eval(b'jit.version').decode()}, JIT {'on' if on else 'off'}"

    def call(self, name: str, *arguments: Any) -> float:
        """CPU seconds of one loop."""
        return float(self._loops[name.encode()](*arguments))

    def loop(self, name: str, *arguments: Any) -> Callable[[int], float]:
        """The same as a function of how often it runs."""
        return lambda count: self.call(name, *arguments, count)

    def list(self, pieces: list[bytes]) -> Any:
        """As a Lua table."""
        return self.lua.table_from(pieces)

    def measure(self, row: tuple[str, str, float | None], scale: float, *loops: Callable[[int], float]) -> Row:
        """Runs the loops in turn. ``scale``: of one pass, what is divided by its seconds (MB) or the reverse."""
        name, unit, goal = row
        counts = [self._count(loop) for loop in loops]
        seen: list[list[float]] = [[] for _ in loops]
        for _ in range(self._repeats):
            for values, loop, count in zip(seen, loops, counts, strict=True):
                seconds = loop(count) / count
                values.append(scale / seconds if unit == "MB/s" else seconds * 1e6 / scale)
        ours, naive = (*(spread(values) for values in seen), None)[:2]
        return Row(name, unit, ours or (0, 0, 0), naive, goal)

    def _count(self, loop: Callable[[int], float]) -> int:
        """How often a loop has to run to take its time; this warms the compiler, too."""
        count, taken = 1, loop(1)
        while taken < self._seconds / 4:
            count *= 4 if taken < self._seconds / 40 else 2
            taken = loop(count)
        return max(1, round(count * self._seconds / taken))


def rows(bench: Bench) -> Iterator[Row]:
    """Every measure of the Lua alone."""
    yield from _requests(bench)
    yield from _streams(bench)
    for kind in ("text", "integers", "floats"):
        pieces = bodies.answer(kind)
        table, size = bench.list(pieces), sum(map(len, pieces)) / 1024
        yield bench.measure(
            (f"JSON answer, {kind}, per KB", "us", None),
            size,
            bench.loop("answers", JSON, table),
            bench.loop("naive_answers", table),
        )
    table = bench.list(bodies.deltas(forced=True))
    kept = bench.call("kept", SSE, True, table, 50_000_000 // 215)  # noqa: FBT003 - Lua takes no keywords
    yield Row("kept of a 50 MB stream", "bytes", (kept, kept, kept), None, 4096)


def _requests(bench: Bench) -> Iterator[Row]:
    for name, made, unit, goal in (
        ("request, chat of 78 bytes", bodies.chats(), "us", 1.5),
        ("request, {} KB full of escapes", bodies.escapes(), "MB/s", 200),
        ("request, {} KB with pictures", bodies.images(), "MB/s", None),
    ):
        size, table = statistics.mean(map(len, made)), bench.list(made)
        yield bench.measure(
            (name.format(round(size / 1000)), unit, goal),
            1 if unit == "us" else size / 1e6,
            bench.loop("request", table),
            bench.loop("naive_request", table),
        )


def _streams(bench: Bench) -> Iterator[Row]:
    size = len(bodies.deltas(forced=False)[0])
    for name, kind, forced, pieces, goal in (
        (f"delta of {size} bytes, read", SSE, False, bodies.deltas(forced=False), 2),
        (f"delta of {size + 13} bytes, rewritten", SSE, True, bodies.deltas(forced=True), 2),
        ("the same, read, no two alike", SSE, False, bodies.strange_deltas(), 2),
        ("Anthropic delta", SSE, False, bodies.anthropic(), None),
        ("Bedrock message", b"application/vnd.amazon.eventstream", False, bodies.bedrock(), None),
        ("Ollama line", b"application/x-ndjson", False, bodies.ollama(), None),
    ):
        table = bench.list(pieces)
        loops: list[Callable[[int], float]] = [bench.loop("stream", kind, forced, table)]
        if kind == SSE:
            loops.append(bench.loop("naive_stream", table))
        yield bench.measure((name, "us", goal), len(pieces), *loops)
