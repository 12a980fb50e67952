"""What emitters return: files that only the command line writes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Artifact:
    """One file: its path below the output directory, with '/', and its text. ``secret``: for its owner's eyes alone."""

    path: str
    text: str
    secret: bool = False
