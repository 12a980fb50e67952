"""A fake OpenAI: plausible by default, commanded by request header, and it remembers what it served.

``script`` holds the commands, ``openai`` the default answers, ``answer`` turns a request and its
commands into what is to be written, ``server`` writes it, ``ledger`` remembers, ``scripted`` runs it all
in a thread of a test. ``python -m llmroute.conformance.upstream`` runs it alone, and ``control`` is how a
test reaches it then.
"""

from __future__ import annotations

from llmroute.conformance.upstream.ledger import MARK_HEADER, Served
from llmroute.conformance.upstream.script import (
    SCRIPT_HEADER,
    Break,
    Chunk,
    Script,
    ScriptError,
    script_header,
)
from llmroute.conformance.upstream.scripted import ScriptedUpstream

__all__ = [
    "MARK_HEADER",
    "SCRIPT_HEADER",
    "Break",
    "Chunk",
    "Script",
    "ScriptError",
    "ScriptedUpstream",
    "Served",
    "script_header",
]
