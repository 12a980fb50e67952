"""Answers of every API as they come over the wire, each with the model and the numbers that must come out.

One YAML file per API; ``fixture`` is what a fixture is, ``load`` reads them, ``body`` writes their bodies and
``messages`` the binary messages of AWS. A format is added by its file here and its row in the filter.
"""

from __future__ import annotations

from llmroute.conformance.wire.fixture import Fixture, Numbers
from llmroute.conformance.wire.load import WireError, load, parse

__all__ = ["Fixture", "Numbers", "WireError", "load", "parse"]
