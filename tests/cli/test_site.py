"""``make docs``: what is wrong with a page fails the build, and each fault is named with its place."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT

FRONT = "# Front\n\nSee [the contents](docs/README.md).\n"
CONTENTS = "# Contents\n\n## All\n\n- [Page](page.md): one\n"
PAGE = "# Page\n\n## A part\n\n[here](#a-part) and [there](../README.md#front), [a file](../data.yaml)\n"
FAULTS = {
    "[gone](gone.md)": "'myst' cross-reference target not found: 'gone.md'",
    "[no such part](#another-part)": "'myst' cross-reference target not found: 'another-part'",
    "[none there either](../README.md#rear)": "local id not found in doc 'README': 'rear'",
    "[no file](../data.json)": "'myst' cross-reference target not found: '../data.json'",
    "[a folder](../tools/)": "'myst' cross-reference target not found: '../tools/'",
}
"""What may stand in a page, and what is said of it."""


def build(folder: Path, page: str, **more: str) -> tuple[int, list[tuple[str, str]]]:
    """The exit code and the warnings of a site of three pages and ``more`` of them, by the rules of this one."""
    shutil.copytree(ROOT / "tools/site", folder / "tools/site", dirs_exist_ok=True)
    (folder / "docs").mkdir(exist_ok=True)
    texts = {"README.md": FRONT, "docs/README.md": CONTENTS, "docs/page.md": page, "data.yaml": "a: 1\n"}
    for name, text in {**texts, **{f"docs/{name}.md": text for name, text in more.items()}}.items():
        (folder / name).write_text(text, encoding="utf-8")
    command = ["make", "-s", "docs", f"SOURCE={folder}"]
    plain = {**os.environ, "NO_COLOR": "1"}  # Sphinx colours what it says where CI is set
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False, env=plain)
    return done.returncode, re.findall(r"^\S+?/(docs/.*): WARNING: (.*)$", done.stderr, re.MULTILINE)


@pytest.mark.slow
def test_what_is_wrong_fails_the_build(tmp_path: Path) -> None:
    """And nothing else does."""
    assert build(tmp_path, PAGE) == (0, [])
    assert "A part" in (tmp_path / "site/docs/page.html").read_text(encoding="utf-8")
    code, warnings = build(tmp_path, PAGE + "\n".join(FAULTS), lonely="# In no contents\n")
    assert code == 2
    alone = ("docs/lonely.md", "document isn't included in any toctree [toc.not_included]")
    assert warnings == [alone, *(("docs/page.md:5", f"{said} [myst.xref_missing]") for said in FAULTS.values())]
