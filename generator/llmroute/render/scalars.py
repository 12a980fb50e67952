"""How the Kubernetes tools read a plain (unquoted) YAML scalar.

kubectl and the API server use a YAML 1.1 reader of their own: ``on``, ``y``, ``1e3`` and ``0o17``
are not strings to it. The source reads scalars this way, and the writer quotes by it.
"""

from __future__ import annotations

import math
import re
from typing import Final

_BOOLS: Final = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
}
_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_INT: Final = re.compile(r"[-+]?(0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|[0-9][0-9_]*)")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL: Final = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


def resolve(text: str) -> str | int | float | bool | None:
    """The value of a plain scalar: bool, None, int, float, or the text itself."""
    if text in _NULLS:
        return None
    if text in _BOOLS:
        return _BOOLS[text]
    if text[0] not in "+-.0123456789":
        return text
    if _INT.fullmatch(text):
        return _integer(text.replace("_", ""))
    if _FLOAT.fullmatch(text):
        return float(text.replace("_", ""))
    if _SPECIAL.fullmatch(text):
        return math.nan if text[-1] in "nN" else math.copysign(math.inf, -1 if text[0] == "-" else 1)
    return text


def _integer(text: str) -> int:
    sign, digits = (-1, text[1:]) if text[0] == "-" else (1, text.lstrip("+"))
    if digits[:2] in {"0b", "0o", "0x"}:
        return sign * int(digits[2:] or "0", {"b": 2, "o": 8, "x": 16}[digits[1]])
    if len(digits) > 1 and digits[0] == "0" and digits.strip("01234567") == "":
        return sign * int(digits, 8)
    return sign * int(digits)
