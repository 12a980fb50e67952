"""Write generator/llmroute/data/filter.lua from filters/lua/src, or check that it is up to date."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "generator"))

from llmroute.render.lua import bundle  # noqa: E402 - runs in a checkout where nothing is installed yet

SOURCES: Final = ROOT / "filters" / "lua" / "src"
TARGET: Final = ROOT / "generator" / "llmroute" / "data" / "filter.lua"


def build() -> str:
    """The bundle of the modules as they are in the checkout."""
    return bundle({path.stem: path.read_text(encoding="utf-8") for path in SOURCES.glob("*.lua")})


def main(arguments: list[str] | None = None) -> int:
    """Write the bundle, or with ``--check`` say whether it is stale."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when the file is stale")
    options = parser.parse_args(arguments)
    script = build()
    name = TARGET.relative_to(ROOT)
    if not options.check:
        TARGET.write_text(script, encoding="utf-8")
        print(f"{name}: {len(script)} bytes")
    elif not TARGET.is_file() or TARGET.read_text(encoding="utf-8") != script:
        print(f"{name} is stale: run python tools/bundle_filter.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
