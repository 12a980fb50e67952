"""The site, for Sphinx: ``make docs``. Pages are the repository's Markdown as it stands, with its relative links.

Sphinx reads the repository's root, so that a link from `docs/` to `manifests/` means what it means on a code host. The
tables of contents are those of `docs/README.md`: its headings, with the pages that each lists.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
CONTENTS: Final = "docs/README"
"""The page that lists all others."""

project = "llmroute"
html_title = "llmroute"
extensions = ["myst_parser"]
root_doc = "README"
include_patterns = ["*.md", "docs/**.md", "manifests/**README.md", "filters/**README.md", "e2e/**README.md"]
# Not walked: no page of ours is in them, and some hold the sources of other projects.
exclude_patterns = [".*", "**/.*", "site", "dist", "build", "generator", "tests", "tools"]

html_theme = "furo"
html_extra_path = ["static_root"]
html_copy_source = False
html_show_copyright = False

nitpicky = True
"""A link to a page, a file or a heading that is not there is a warning, and a warning fails the build."""
myst_heading_anchors = 6
myst_number_code_blocks: list[str] = []


def tables_of_contents(contents: str) -> str:
    """A hidden toctree for each heading of ``docs/README.md``, with the pages that it lists, in MyST's words."""
    parts = []
    for heading, below in re.findall(r"^## (.+)\n((?:(?!## ).*\n)*)", contents, re.MULTILINE):
        pages = re.findall(r"^- \[.+?\]\(([^)#]+)\.md\)", below, re.MULTILINE)
        parts.append(_toctree(heading, [_document(page) for page in pages]))
    return "\n".join(parts)


def _document(link: str) -> str:
    """From the root what is said from ``docs/``."""
    return ((ROOT / CONTENTS).parent / link).resolve().relative_to(ROOT).as_posix()


def _toctree(caption: str, pages: list[str]) -> str:
    listed = "".join(f"/{page}\n" for page in pages)
    return f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{listed}```\n"


def _with_contents(_app: Any, page: str, text: list[str]) -> None:
    if page == root_doc:
        text[0] += _toctree("Contents", [CONTENTS]) + tables_of_contents((ROOT / f"{CONTENTS}.md").read_text("utf-8"))


def setup(app: Any) -> None:
    """Sphinx's entry point."""
    app.connect("source-read", _with_contents)
