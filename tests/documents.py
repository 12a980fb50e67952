"""What the Markdown documents show: their sections, and in those the blocks and their commands."""

from __future__ import annotations

import re
import textwrap
from typing import Final

_BLOCK: Final = re.compile(r"^( *)```([\w ]+)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
"""A step of a list has its blocks indented."""


def section(text: str, heading: str) -> str:
    """What stands under a heading of the second level, up to the next one."""
    _, found, rest = text.partition(f"\n## {heading}\n")
    assert found, heading
    return rest.partition("\n## ")[0]


def blocks(text: str) -> list[tuple[str, str]]:
    """The language of each block, and what it holds."""
    return [(language, textwrap.dedent(block)) for _, language, block in _BLOCK.findall(text)]


def blocks_in(text: str, language: str) -> list[str]:
    """Every block of a language."""
    return [block for found, block in blocks(text) if found == language]


def commands(block: str) -> list[str]:
    """Each command of a shell block: a line that ends with a backslash goes on."""
    return re.split(r"(?<!\\)\n", block.strip())
