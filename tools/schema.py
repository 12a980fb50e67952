"""Writes what ``llmroute schema`` prints to ``manifests/schema/``.

With ``--check`` it writes nothing, says what is stale, and exits with 1 then.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from llmroute.cli.schema import crd_text, schema_text
from tools.written import ROOT, main

SCHEMA: Final = ROOT / "manifests" / "schema" / "llmroute.schema.json"
CRD: Final = ROOT / "manifests" / "schema" / "llmroute.crd.yaml"


def outputs() -> dict[Path, str]:
    """The files and their text."""
    return {SCHEMA: schema_text(), CRD: crd_text()}


if __name__ == "__main__":
    sys.exit(main(outputs()))
