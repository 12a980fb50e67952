"""Whether the conformance suite says the same each time: so many runs, whose reports are equal but for their times.

``python -m tools.equal_runs 20`` runs three profiles on the local stack and exits with 1 when a case fails, or when
a report differs from the first one; it then says in which case and how.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import yaml

from llmroute.conformance.report.document import without_times
from tools.same_records import Records, differences

PROFILES: Final = ("core", "streaming", "formats")
_OF_ALL: Final = "the report"
"""Stands for a case in records: what a report says beside its cases."""


def records(report: dict[str, Any]) -> Records:
    """A report without its times, case by case: first what is said of the case, then its steps."""
    document = without_times(report)
    cases = document.pop("cases")
    return {_OF_ALL: [document]} | {case["id"]: [case | {"steps": ()}, *case.get("steps", ())] for case in cases}


def _run(file: Path) -> dict[str, Any]:
    """One run and its report.

    Raises:
        ChildProcessError: a case failed, or the command; says which and why.
    """
    chosen = [argument for profile in PROFILES for argument in ("--profile", profile)]
    command = [str(Path(sys.executable).with_name("llmroute")), "conformance", *chosen, "--report", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ChildProcessError(f"exit code {done.returncode}:\n{done.stdout}{done.stderr}")
    report: dict[str, Any] = yaml.load(file.read_text(encoding="utf-8"), yaml.CSafeLoader)
    return report


def main() -> int:
    """As many runs as the command line says; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=int, choices=range(2, 1000), metavar="RUNS", help="2 and more")
    runs: int = parser.parse_args().runs
    begun, first = time.monotonic(), None
    with tempfile.TemporaryDirectory(prefix="llmroute-runs-") as folder:
        for number in range(1, runs + 1):
            try:
                report = _run(Path(folder, f"{number}.yaml"))
            except ChildProcessError as error:
                print(f"run {number}: {error}", file=sys.stderr)
                return 1
            first = first or records(report)
            if found := list(differences(first, records(report))):
                print(f"run {number} differs from run 1:", *found, sep="\n", file=sys.stderr)
                return 1
            print(f"run {number}: {report['seconds']} s, {len(report['cases'])} cases", flush=True)
    steps = sum(len(steps) - 1 for steps in (first or {}).values())
    print(f"{runs} equal reports of {len(first or ()) - 1} cases and {steps} steps in {time.monotonic() - begun:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
