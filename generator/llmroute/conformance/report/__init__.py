"""What a run says afterwards: ``document`` is the report, and the other modules write the same for other readers.

Everything but ``document.made`` is a pure function of the report; two runs give equal reports but for its times.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from llmroute.conformance.report.document import Report, to_yaml
from llmroute.conformance.report.html import to_html
from llmroute.conformance.report.junit import to_junit
from llmroute.conformance.report.text import to_text

__all__ = ["BY_SUFFIX", "FORMATS", "Report"]

FORMATS: Final[Mapping[str, Callable[[Report], str]]] = {
    "text": to_text,
    "yaml": to_yaml,
    "html": to_html,
    "junit": to_junit,
}
"""Writers by the name of the format."""
BY_SUFFIX: Final[Mapping[str, str]] = {
    ".yaml": "yaml",
    ".yml": "yaml",
    ".html": "html",
    ".xml": "junit",
    ".txt": "text",
}
"""The format that a file's name means."""
