"""The table of measures, for a terminal and as docs/filter-performance.md."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from tools.bench.envoy import CONNECTIONS
from tools.bench.filter import Row

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "filter-performance.md"
_HEAD: Final = ("measure", "unit", "filter", "spread", "naive", "spread", "goal")

_INTRODUCTION: Final = """\
# Performance of the filter

Written by `make bench-filter PAGE=1`, on {machine}, {lua}. Each figure is the median of {repeats} runs of CPU
time with the least and the most; the filter and a naive reference (`tools/bench/naive.lua`, a tokenizer on
character classes; `tools/bench/naive_filter.lua`, whole bodies and one match each) take turns in one process.
What requests cost through whole gateways: [Performance](performance.md).
To see the figures of your machine without writing this page, within a few seconds:

```shell
make bench-filter QUICK=1
```

"""
_PARTS: Final = """
## Where the time goes

The filter cut off after each of its parts, in one run by turns (`make bench-filter PARTS=1`): what a part costs beyond
those before it, in that Envoy. The least that any filter does is to read both bodies whole, set one header and two
values of metadata, and understand nothing: what 1.25x leaves for a filter is about that. A part of a
microsecond is noise.

"""
_NOTES: Final = """
## What they do not show

- The first table has no Envoy in it: the calls of its Lua API and the copies of bodies come on top, and are in
  the second one. There an Envoy of one worker proxies a chat completion, 1 KiB both ways, on {connections} kept
  connections; an upstream Envoy answers. CPU seconds are those of the measured process alone.
- Every piece of a stream differs from the one before, but each is one event. Answers that arrive in larger
  pieces cost less for each event.
- A delta that differs from the last one in its text alone is not read again (`filters/lua/src/echo.lua`); the
  row without two alike is what a stream costs when that never helps.
- No rate limit filter is in the second table: a check costs a gRPC call with or without the Lua.
- CPU of a shared machine varies by some percent from run to run; compare figures of one run.
"""


def machine() -> str:
    """Cores and what they are, as far as the system says."""
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        if line.startswith("model name")
    ]
    return f"{os.cpu_count()} cores of {names[0] if names else platform.machine()}, Python {platform.python_version()}"


def cells(row: Row) -> list[str]:
    """One row, as text."""
    out = [row.name, row.unit, _figure(row.ours[0]), _spread(row.ours)]
    out += [_figure(row.naive[0]), _spread(row.naive)] if row.naive else ["", ""]
    return [*out, "" if row.goal is None else f"{row.goal:g}"]


def _figure(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"


def _spread(numbers: tuple[float, float, float]) -> str:
    return f"{_figure(numbers[1])} to {_figure(numbers[2])}" if numbers[1] != numbers[2] else ""


def lines(rows: Sequence[Row]) -> Iterator[str]:
    """For a terminal."""
    table = [list(_HEAD), *map(cells, rows)]
    widths = [max(len(line[n]) for line in table) for n in range(len(_HEAD))]
    for line in table:
        first, *rest = (
            text.ljust(w) if n < 2 else text.rjust(w) for n, (text, w) in enumerate(zip(line, widths, strict=True))
        )
        yield "  ".join((first, *rest)).rstrip()


def markdown(rows: Sequence[Row]) -> str:
    """A table of Markdown."""
    table = [list(_HEAD), ["---", "---", *["---:"] * (len(_HEAD) - 2)], *map(cells, rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in table)


def page(alone: Sequence[Row], in_envoy: Sequence[Row], by_part: Sequence[Row], *, lua: str, repeats: int) -> str:
    """All of docs/filter-performance.md."""
    introduction = _INTRODUCTION.format(machine=machine(), lua=lua, repeats=repeats)
    envoy = f"\n## In Envoy\n\n{markdown(in_envoy)}" if in_envoy else ""
    parts = f"{_PARTS}{markdown(by_part)}"
    return f"{introduction}## The Lua alone\n\n{markdown(alone)}{envoy}{parts}{_NOTES.format(connections=CONNECTIONS)}"
