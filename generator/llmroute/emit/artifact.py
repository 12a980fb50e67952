"""What emitters return: files that only the command line writes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Artifact:
    """One file: its path below the output directory, with '/', and its text."""

    path: str
    text: str
