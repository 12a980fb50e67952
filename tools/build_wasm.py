"""Write generator/llmroute/data/filter.wasm from filters/wasm/src, or check that it is what the sources give.

Zig's C compiler (PyPI ``ziglang``) is the whole toolchain: no SDK and no libc.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
SOURCES: Final = ROOT / "filters" / "wasm" / "src"
TARGET: Final = ROOT / "generator" / "llmroute" / "data" / "filter.wasm"
MOST: Final = 65_536
"""Bytes. A module that is small is soon compiled, in each worker, and has little that could go wrong."""
_COMPILE: Final = (
    *("cc", "-target", "wasm32-freestanding", "-std=c11"),
    *("-Wall", "-Wextra", "-Werror", "-Wno-missing-field-initializers"),
    # The least code. With multiple values a stretch of bytes is passed in two registers and not through memory, which
    # is a fifth of the module; V8 and wasmtime have had them for years.
    *("-Os", "-Xclang", "-Oz", "-mmultivalue", "-Xclang", "-target-abi", "-Xclang", "experimental-mv"),
)
_LINK: Final = (
    *("wasm-ld", "--no-entry", "--strip-all", "--compress-relocations"),
    # The stack comes first: what overruns it stops the machine and overwrites nothing.
    *("--stack-first", "-z", "stack-size=65536"),
)


def build() -> bytes:
    """The module, from the sources as they are in the checkout."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # By names without a path, so that no path gets into it.
        sources = sorted(path.name for path in SOURCES.glob("*.c"))
        objects = [str(folder / f"{source}.o") for source in sources]
        for source, made in zip(sources, objects, strict=True):
            _zig(*_COMPILE, "-c", source, "-o", made)
        _zig(*_LINK, *objects, "-o", str(folder / TARGET.name))
        return (folder / TARGET.name).read_bytes()


def _zig(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "ziglang", *arguments], cwd=SOURCES, check=True)


def main(arguments: list[str] | None = None) -> int:
    """Write the module, or with ``--check`` say whether it is stale."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when the file is stale")
    options = parser.parse_args(arguments)
    try:
        module = build()
    except subprocess.CalledProcessError as error:
        print(f"the C does not compile: exit code {error.returncode}", file=sys.stderr)
        return 1
    name = TARGET.relative_to(ROOT)
    if len(module) > MOST:
        print(f"{name}: {len(module)} bytes, more than {MOST}", file=sys.stderr)
        return 1
    if not options.check:
        TARGET.write_bytes(module)
        print(f"{name}: {len(module)} bytes")
    elif not TARGET.is_file() or TARGET.read_bytes() != module:
        print(f"{name} is stale: run make wasm", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
