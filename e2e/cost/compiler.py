"""What the compiler takes for so many LLMRoutes: ``llmroute generate``, as a user runs it, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from e2e.cost.raw import Compilation
from llmroute.conformance.policies import USERS, limit, route, rule, text
from tools.proc import status_kib

# The most memory of a process is asked of itself: what wait4 says is never less than what its parent had.
_PROGRAM: Final = """
import json, sys, time
from llmroute.cli import main
try:
    main()
except SystemExit as ended:
    with open("/proc/self/status", encoding="ascii") as status:
        print(json.dumps([ended.code or 0, time.process_time(), status.read()]), file=sys.stderr)
"""


def policy(routes: int) -> str:
    """So many LLMRoutes, each of a Gateway and a Backend of its own, with a limit for each user."""
    return text(*(each for number in range(routes) for each in _documents(number)))


def _documents(number: int) -> Iterator[dict[str, Any]]:
    made = route(name=f"route-{number}", **{f"llm-{number}": [rule(limit(10_000), headers=USERS)]})
    yield {**made, "spec": {**made["spec"], "targetRefs": [{"name": f"gateway-{number}"}]}}
    yield {
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "Backend",
        "metadata": {"name": f"llm-{number}", "namespace": "default"},
        "spec": {"endpoints": [{"fqdn": {"hostname": "llm.example.com", "port": 80}}]},
    }


def compilations(sizes: Sequence[int], repetitions: int) -> Iterator[Compilation]:
    """Compile for Envoy Gateway, by turns.

    Raises:
        RuntimeError: the compiler says anything but that all is well.
    """
    with tempfile.TemporaryDirectory(prefix="llmroute-cost-") as name:
        folder = Path(name)
        for size in sizes:
            (folder / f"{size}.yaml").write_text(policy(size), encoding="utf-8")
        for _ in range(repetitions):
            for size in sizes:
                yield _compiled(folder, size)


def _compiled(folder: Path, size: int) -> Compilation:
    command = [sys.executable, "-c", _PROGRAM, "generate", f"{size}.yaml", "-o", "out"]
    begun = time.monotonic()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - begun
    *said, last = done.stderr.splitlines() or [""]
    if done.returncode or said or not last.startswith("[0, "):
        raise RuntimeError(f"llmroute generate with {size} LLMRoutes says: {done.stderr.strip()}")
    _, cpu, status = json.loads(last)
    return Compilation(size, seconds, cpu, status_kib(status, "VmHWM") / 1024)
