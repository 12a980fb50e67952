"""What Linux says of a process: the CPU that it has used, and the memory that it has."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_TICK: Final = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """CPU seconds of a process, from what its threads ran: /proc/PID/stat counts ticks of 10 ms."""
    tasks = _PROC / str(pid) / "task"
    try:
        return sum(int((task / "schedstat").read_text("ascii").split()[0]) for task in tasks.iterdir()) / 1e9
    except FileNotFoundError:
        fields = (_PROC / str(pid) / "stat").read_text("ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICK


def resident_mib(pid: int) -> float:
    """MiB of memory that a process has, without what is swapped out.

    Raises:
        ProcessLookupError: it has none: it has ended.
    """
    return status_kib((_PROC / str(pid) / "status").read_text("ascii"), "VmRSS") / 1024


def status_kib(status: str, field: str) -> int:
    """A field in KiB of the text of /proc/PID/status.

    Raises:
        ProcessLookupError: there is none.
    """
    found = re.search(rf"^{field}:\s+(\d+) kB$", status, re.MULTILINE)
    if found is None:
        raise ProcessLookupError(f"the process has no {field}: it has ended")
    return int(found[1])
