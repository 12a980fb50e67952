"""``docs/performance.md``: tables of what a run has measured, what they mean, and what they do not show."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from textwrap import indent
from typing import Final

from e2e.cost import figures
from e2e.cost.gateways import COUNTING, DIRECT, LITELLM, NATIVE, PARTS, PLAIN, PROXY, ROWS
from e2e.cost.goals import MET, judged
from e2e.cost.loads import ALONE, JSON, TOKENS
from e2e.cost.plots import PLOTS
from e2e.cost.raw import Raw
from tools.spread import Spread, spread

DOCS: Final = Path(__file__).parents[2] / "docs"
PAGE: Final = DOCS / "performance.md"
FOLDER: Final = DOCS / "performance"
RAW: Final = FOLDER / "raw.json"
_QUANTILES: Final = ("p50", "p90", "p99")

_HEAD: Final = """\
# Performance

What limiting costs: the same requests through several gateways, side by side in one run, written by `make bench PAGE=1`. All that was
measured is in [raw.json](performance/raw.json). What the filter alone costs, and where its time goes: [Performance of the
filter](filter-performance.md). The figures of your machine, in about a minute, without writing this page:

```shell
make bench QUICK=1
```

{ground}

{gateways}
Every answer reports {tokens} tokens; the run fails if one is not a 200 with its whole body, or if a gateway with limits has not charged
exactly what was reported. There is one limit of tokens for each user and model, which nobody meets. Figures are medians of
{repetitions} runs, with the least and the most behind them; gateways take turns within each run.
"""
_NOTES: Final = """
## What they do not show

- Generator, upstream and gateway share the cores. On many connections the rates and times are those of a machine that is full, and a
  gateway that takes less CPU leaves more to the others. Times on one connection are the gateway's own; of the rest, CPU time says most.
- Added times are differences of quantiles within one repetition, not quantiles of differences: a request is not sent twice.
- The upstream writes the deltas of a stream one by one as fast as it can; a model takes its time. What comes in one read costs
  less for each delta, and a real stream adds wakeups to every gateway alike.
- Envoy has one worker and LiteLLM one process, as it starts by default; neither is tuned.
- A read of Redis can bring the commands of several calls, so there are fewer round trips than calls; each call is one write.
- Envoy's own filters know one place of the model and one of the tokens, and only OpenAI's. They do not ask for usage that a
  client has not asked for: those streams they charge nothing, and the row "usage not asked for" is not the same work.
- LiteLLM is driven with a tenth of the requests, at least 8: its p99 is about the longest of them.
- Memory is the resident set of the proxy alone, of a process that has just started.
- The compiler's figures are those of a policy with one limit. The script, 49 KiB of each route, is most of what it writes.
"""


def page(raw: Raw) -> str:
    """All of it."""
    repetitions = len(list(raw.of(DIRECT.name, raw.loads()[0])))
    head = _HEAD.format(
        ground=_ground(raw), gateways=_gateways(raw), tokens=TOKENS, repetitions=repetitions
    )  # fmt: skip
    return "\n".join([head, *_sections(raw)]) + _NOTES


def _ground(raw: Raw) -> str:
    return f"{raw.ground}\nOf the CPU time that the machine spent meanwhile, {raw.beside:.0%} went to other work beside this run."


def _gateways(raw: Raw) -> str:
    known = set(raw.gateways())
    return _table(("name", "what is in between"), ((row.name, row.title) for row in ROWS if row.name in known))


def _sections(raw: Raw) -> Iterator[str]:
    yield "## Goals\n"
    yield _table(("goal", "at most", "is", "least to most", ""), _goals(raw))
    unmet = [goal for goal, figure in judged(raw) if goal.verdict(figure) != MET and goal.why]
    yield from (f"- {goal.what}:\n{indent(goal.why, '  ')}" for goal in unmet)
    yield ""
    yield "## CPU seconds of the proxy for 1,000 requests\n"
    yield "![CPU by gateway and load](performance/cpu.svg)\n"
    others = [name for name in raw.gateways() if name != DIRECT.name]
    yield _by_load(raw, others, lambda name, load: figures.alone(raw, name, load, figures.cpu(PROXY)))
    yield f"How many times as much as `{NATIVE.name}`:\n"
    limiting = [name for name in others if name not in {PLAIN.name, NATIVE.name}]
    yield _by_load(raw, limiting, lambda name, load: figures.ratio(raw, name, NATIVE.name, load, figures.cpu(PROXY)))
    yield f"## All parts, {JSON.name}\n"
    yield _table(
        ("gateway", *(f"CPU s, {part}" for part in PARTS), "calls of ratelimit", "commands of Redis", "round trips"),
        _parts(raw, [name for name in others if name != PLAIN.name]),
    )
    yield "For one request; CPU for 1,000.\n"
    yield "## Requests a second\n"
    yield _by_load(raw, raw.gateways(), lambda name, load: figures.alone(raw, name, load, lambda sample: sample.rate))
    yield "## Milliseconds added to the upstream's own\n"
    yield "![Time until the end of an answer on one connection](performance/latency.svg)\n"
    for what, measure in (("the end of an answer", figures.latency), ("the first byte of a body", figures.first)):
        yield f"Until {what} is there, {', '.join(_QUANTILES)}:\n"
        yield _by_load(raw, others, partial(_added, raw, measure))
    base = COUNTING.name
    yield f"Until the first byte of a stream's body, beyond `{base}` ({ALONE.name}), milliseconds:\n"
    yield _table(("gateway", *_QUANTILES), _first(raw, [n for n in others if n not in {PLAIN.name, base}], base))
    yield "## Memory of the proxy, MiB\n"
    yield _table(
        ("gateway", "at rest", f"{raw.memory[0].streams} streams open", f"beyond `{PLAIN.name}`"), _memory(raw)
    )
    if raw.compilations:
        yield "## The compiler\n"
        yield "`llmroute generate` for Envoy Gateway, a process of its own, from its start to its end.\n"
        yield "![Time and memory of the compiler](performance/compiler.svg)\n"
        yield _table(("LLMRoutes", "seconds", "CPU seconds", "MiB at most", "CPU ms for each more"), _compiler(raw))


def _goals(raw: Raw) -> Iterator[Sequence[str]]:
    for goal, figure in judged(raw):
        unit = f" {goal.unit}" if goal.unit not in {"", "x"} else goal.unit
        yield (
            goal.what,
            f"{_number(goal.most)}{unit}",
            f"{_number(figure.median)}{unit}",
            _range(figure),
            goal.verdict(figure),
        )


def _by_load(raw: Raw, gateways: Sequence[str], cell: Callable[[str, str], Spread | str]) -> str:
    rows = ((load, *(_cell(cell(name, load)) for name in gateways)) for load in raw.loads())
    return _table(("load", *gateways), rows)


def _added(raw: Raw, measure: Callable[[str], figures.Measure], name: str, load: str) -> str:
    medians = (figures.added(raw, name, DIRECT.name, load, measure(quantile)).median for quantile in _QUANTILES)
    return ", ".join(map(_number, medians))


def _first(raw: Raw, gateways: Iterable[str], base: str) -> Iterator[Sequence[str]]:
    for name in gateways:
        spreads = (figures.added(raw, name, base, ALONE.name, figures.first(q)) for q in _QUANTILES)
        yield name, *map(_cell, spreads)


def _parts(raw: Raw, gateways: Iterable[str]) -> Iterator[Sequence[str]]:
    for name in gateways:
        samples = list(raw.of(name, JSON.name))
        cpu = (spread([s.cpu[part] for s in samples]) if part in samples[0].cpu else "-" for part in PARTS)
        calls = spread([s.calls for s in samples]) if name != LITELLM.name else "-"
        rest = (spread([s.commands for s in samples]), spread([s.reads for s in samples]))
        yield name, *map(_cell, (*cpu, calls, *rest))


def _memory(raw: Raw) -> Iterator[Sequence[str]]:
    for name in dict.fromkeys(each.gateway for each in raw.memory):
        beyond = "" if name == PLAIN.name else _cell(figures.held(raw, name, PLAIN.name))
        yield name, _cell(figures.at_rest(raw, name)), _cell(figures.held(raw, name)), beyond


def _compiler(raw: Raw) -> Iterator[Sequence[str]]:
    more = figures.each_more(raw.compilations)
    for size, of in figures.by_size(raw.compilations).items():
        spreads = (spread([e.seconds for e in of]), spread([e.cpu for e in of]), spread([e.mib for e in of]))
        yield f"{size:,}", *map(_cell, spreads), _number(more[size]) if size in more else ""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(value: Spread | str) -> str:
    return value if isinstance(value, str) else f"{_number(value.median)} ({_range(value)})"


def _range(value: Spread) -> str:
    return f"{_number(value.least)} to {_number(value.most)}"


def _number(value: float) -> str:
    """Three digits that mean something."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def write(raw: Raw) -> None:
    """The page, its plots and what they are made of: the figures as they are kept."""
    FOLDER.mkdir(exist_ok=True)
    RAW.write_text(raw.dump(), encoding="utf-8")
    raw = Raw.load(raw.dump())
    for name, plot in PLOTS.items():
        (FOLDER / name).write_text(plot(raw), encoding="utf-8")
    PAGE.write_text(page(raw), encoding="utf-8")
