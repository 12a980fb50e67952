"""Writes what ``llmroute schema`` prints to ``manifests/schema/``.

With ``--check`` it writes nothing, says what is stale, and exits with 1 then.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from llmroute.cli.schema import crd_text, schema_text

ROOT: Final = Path(__file__).resolve().parent.parent
SCHEMA: Final = ROOT / "manifests" / "schema" / "llmroute.schema.json"
CRD: Final = ROOT / "manifests" / "schema" / "llmroute.crd.yaml"


def outputs() -> dict[Path, str]:
    """The files and their text."""
    return {SCHEMA: schema_text(), CRD: crd_text()}


def main() -> int:
    """Write or check; the exit code."""
    stale = [p for p, text in outputs().items() if not p.is_file() or p.read_text(encoding="utf-8") != text]
    if "--check" not in sys.argv[1:]:
        for path in stale:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(outputs()[path], encoding="utf-8")
    elif stale:
        print("\n".join(f"stale: {p.relative_to(ROOT)}" for p in stale), file=sys.stderr)
        print("run: make regenerate", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
