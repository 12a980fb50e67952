"""Writes what is made of each example beside it: ``manifests/examples/<name>/out/``.

With ``--check`` it writes nothing and exits with 1 when a file is not what it would write. An
example that this version refuses gets ``findings.txt`` instead.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from llmroute.emit import Artifact
from llmroute.emit.compose import COMPOSE as COMPOSE_FILE
from llmroute.pipeline import compile_policies
from llmroute.targets import COMPOSE, ENVOY, ENVOY_GATEWAY, capabilities

WITH_COMPOSE = "ratelimit-demo"
"""The one example with a ``compose.yaml``: that is the same for all, and what it runs is nearly ``envoy/``."""
ROOT = Path(__file__).resolve().parent.parent / "manifests" / "examples"


def outputs(policy: Path) -> Iterator[Artifact]:
    """Every file below ``out/`` for one example."""
    text = policy.read_text(encoding="utf-8")
    name = f"{policy.parent.name}/{policy.name}"
    for target in (ENVOY_GATEWAY, ENVOY):
        compiled = compile_policies([(name, text)], capabilities(target))
        if not compiled.artifacts:
            findings = "".join(f"{d}\n" for d in compiled.diagnostics)
            yield Artifact("findings.txt", findings)
            return
        folder = "envoy/" if target == ENVOY else ""
        for artifact in compiled.artifacts:
            yield Artifact(folder + artifact.path, artifact.text)
    if policy.parent.name == WITH_COMPOSE:
        made = compile_policies([(name, text)], capabilities(COMPOSE)).artifacts
        yield from (Artifact(f"compose/{a.path}", a.text) for a in made if a.path == COMPOSE_FILE)


def examples() -> list[Path]:
    """The policies of all examples."""
    return sorted(ROOT.glob("*/llmroute.yaml"))


def main() -> int:
    """Write or check; the exit code."""
    stale = []
    for policy in examples():
        out = policy.parent / "out"
        wanted = {out / a.path: a.text for a in outputs(policy)}
        present = {p for p in out.rglob("*") if p.is_file()}
        changed = [p for p, text in wanted.items() if p not in present or p.read_text(encoding="utf-8") != text]
        stale += changed + sorted(present - set(wanted))
        if "--check" in sys.argv[1:]:
            continue
        for path in present - set(wanted):
            path.unlink()
        for path in changed:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted[path], encoding="utf-8")
    if "--check" in sys.argv[1:] and stale:
        print("\n".join(f"stale: {p.relative_to(ROOT.parent.parent)}" for p in stale), file=sys.stderr)
        print("run: make regenerate", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
