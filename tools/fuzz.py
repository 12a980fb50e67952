"""``python -m tools.fuzz N [--seed S] [--engine E]``: N random cases on the filter; exit code 1 for a divergence.

``python -m tools.fuzz --faults`` puts faults into the Lua, one after the other, and says which are found.
The cases and the oracle stand in ``tests/filters/fuzz``.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context

from tests.filters.fuzz.mutants import MUTANTS, WITHIN, verdicts
from tests.filters.fuzz.run import job
from tests.filters.fuzz.show import show
from tests.filters.proxy import ENGINES, WASM

_SHARE = 10_000
"""Cases of one job; its number is part of the seed, so that any job can be run alone."""


def _jobs(seed: int, count: int) -> Iterator[tuple[str, int]]:
    for number, first in enumerate(range(0, count, _SHARE)):
        yield f"{seed}.{number}", min(_SHARE, count - first)


def faults() -> int:
    """Says of every fault what finds it; 1 when one survives."""
    alive = 0
    for mutant, how in verdicts():
        print(f"{mutant.module}: {mutant.new.strip()[:60]!r}: {how or 'NOT FOUND'}", flush=True)
        alive += not how
    print(f"{len(MUTANTS) - alive} of {len(MUTANTS)} faults found, each within {WITHIN} cases")
    return bool(alive)


def main() -> int:
    """Run the jobs on all cores."""
    parser = argparse.ArgumentParser(prog="python -m tools.fuzz", description=__doc__)
    parser.add_argument("count", type=int, nargs="?", default=20_000)
    parser.add_argument("--faults", action="store_true")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000_000)
    parser.add_argument("--engine", choices=(*ENGINES, WASM), default=ENGINES[0])
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    if options.faults:
        return faults()
    print(f"fuzz: {options.count} cases on {options.engine}, SEED={options.seed}", flush=True)
    begun, done = time.monotonic(), 0
    with ProcessPoolExecutor(options.processes, mp_context=get_context("spawn")) as pool:
        jobs = {pool.submit(job, options.engine, *share): share for share in _jobs(options.seed, options.count)}
        for future in as_completed(jobs):
            found = future.result()
            if found:
                pool.shutdown(wait=False, cancel_futures=True)
                print("\n".join(show(found)))
                print(f"DIVERGENCE with SEED={options.seed}, in job {jobs[future][0]}")
                return 1
            done += jobs[future][1]
            if done * 10 // options.count != (done - jobs[future][1]) * 10 // options.count:
                print(f"  {done} done after {time.monotonic() - begun:.0f} s", flush=True)
    print(f"fuzz: {done} cases without a divergence in {time.monotonic() - begun:.0f} s, SEED={options.seed}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
