"""The plots of the page: SVG, the same bytes for the same figures."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from e2e.cost import figures
from e2e.cost.gateways import DIRECT, PROXY, ROWS
from e2e.cost.raw import Raw
from tools.spread import spread

_PALETTE: Final = ("#bab0ac", "#4e79a7", "#76b7b2", "#59a14f", "#e15759", "#f28e2b", "#b07aa1", "#edc948")
_COLOURS: Final = {row.name: colour for row, colour in zip(ROWS, _PALETTE, strict=False)}
"""One for each gateway, in every plot the same."""


def _settings() -> AbstractContextManager[None]:
    """Text stays text, and nothing in the file is by chance or by date."""
    return mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "llmroute", "font.size": 9})


def _svg(figure: Figure) -> str:
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None}, bbox_inches="tight")
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"


def _bars(axes: Axes, raw: Raw, gateways: Sequence[str], loads: Sequence[str], measure: figures.Measure) -> None:
    """Medians side by side, with the least and the most."""
    width = 0.8 / len(gateways)
    least = min(figures.alone(raw, gateway, load, measure).least for gateway in gateways for load in loads)
    for number, gateway in enumerate(gateways):
        found = [figures.alone(raw, gateway, load, measure) for load in loads]
        places = [place + (number - (len(gateways) - 1) / 2) * width for place in range(len(loads))]
        errors = [[each.median - each.least for each in found], [each.most - each.median for each in found]]
        medians = [each.median for each in found]
        axes.bar(
            places, medians, width, yerr=errors, label=gateway, color=_COLOURS[gateway], error_kw={"linewidth": 0.8}
        )
    axes.set_xticks(range(len(loads)), loads, rotation=20, ha="right")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_ylim(bottom=10 ** math.floor(math.log10(least)))
    axes.legend(ncols=len(gateways), fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
    axes.grid(axis="y", linewidth=0.3)


def cpu(raw: Raw) -> str:
    """CPU of each proxy, by load."""
    with _settings():
        figure = Figure(figsize=(9, 4))
        axes = figure.subplots()
        gateways = [name for name in raw.gateways() if name != DIRECT.name]
        _bars(axes, raw, gateways, raw.loads(), figures.cpu(PROXY))
        axes.set_ylabel("CPU seconds of the proxy\nfor 1,000 requests")
        return _svg(figure)


def latency(raw: Raw) -> str:
    """Until the end of an answer, on one connection, by load."""
    with _settings():
        figure = Figure(figsize=(9, 6))
        loads = [load for load in raw.loads() if load.endswith(" x 1")]
        for axes, quantile in zip(figure.subplots(2, 1, sharex=True), ("p50", "p99"), strict=True):
            _bars(axes, raw, raw.gateways(), loads, figures.latency(quantile))
            axes.set_ylabel(f"ms until the end, {quantile}")
            if quantile != "p50":
                axes.get_legend().remove()
        return _svg(figure)


def compiler(raw: Raw) -> str:
    """Time and memory of the compiler by the number of LLMRoutes."""
    with _settings():
        figure = Figure(figsize=(9, 3))
        by_size = figures.by_size(raw.compilations)
        sizes = list(by_size)
        left, right = figure.subplots(1, 2)
        for axes, label, values in (
            (left, "seconds", [[each.seconds for each in of] for of in by_size.values()]),
            (left, "CPU seconds", [[each.cpu for each in of] for of in by_size.values()]),
            (right, "MiB", [[each.mib for each in of] for of in by_size.values()]),
        ):
            axes.plot(sizes, [spread(of).median for of in values], marker="o", label=label)
        for axes in (left, right):
            axes.set_xlabel("LLMRoutes")
            axes.set_ylim(bottom=0)
            axes.grid(linewidth=0.3)
            axes.legend(frameon=False)
        return _svg(figure)


PLOTS: Final = {"cpu.svg": cpu, "latency.svg": latency, "compiler.svg": compiler}
"""By file name."""
