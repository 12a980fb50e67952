"""Generated files of the repository: written, or with ``--check`` compared and what is stale named."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent


def main(outputs: Mapping[Path, str]) -> int:
    """Write or check ``outputs``, by the command line; the exit code."""
    stale = [p for p, text in outputs.items() if not p.is_file() or p.read_text(encoding="utf-8") != text]
    if "--check" not in sys.argv[1:]:
        for path in stale:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(outputs[path], encoding="utf-8")
    elif stale:
        print("\n".join(f"stale: {p.relative_to(ROOT)}" for p in stale), file=sys.stderr)
        print("run: make regenerate", file=sys.stderr)
        return 1
    return 0
