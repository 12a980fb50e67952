"""What Envoy Gateway on a host thinks of its documents: it only writes their conditions to its log. Pure."""

from __future__ import annotations

import re
from typing import Any, Final

import yaml

_UPDATE: Final = re.compile(r'Got new status for (\w+)\n(.*?)\n\t\{[^\n]*"key": "([^"]*)"', re.DOTALL)


def refusals(log: str) -> list[str]:
    """Every condition that is False in the last status of its document, with its message.

    But for Gateways: on a host they never get the addresses that they are told to wait for.
    """
    last = {(kind, key): yaml.safe_load(status) for kind, status, key in _UPDATE.findall(log)}
    return [
        f"{kind} {key}: {condition['type']} is False: {condition['message']}"
        for (kind, key), status in last.items()
        for condition in _conditions(status)
        if kind != "Gateway" and condition["status"] == "False"
    ]


def _conditions(status: Any) -> list[dict[str, Any]]:
    """The conditions of a document, and of its parents."""
    found = list(status.get("conditions") or [])
    for field in ("ancestors", "parents"):
        for each in status.get(field) or []:
            found += each.get("conditions") or []
    return found
