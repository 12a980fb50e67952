"""What Linux says of a process: the CPU that it has used, and the memory that it has."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_SCHEDULED: Final = 2
"""Of a clock: time that the scheduler gave, to the nanosecond."""
_TICK: Final = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """CPU seconds of a process, by its clock: exact, and with what threads ran that have ended.

    /proc/PID/stat counts ticks of 10 ms, and /proc/PID/task has the threads that live. A clock's number says whose it
    is, as ``clock_getcpuclockid`` of the C library makes it: the complement of the process's number, and in the lowest
    three bits what is measured.

    Raises:
        OSError: there is no such process.
    """
    return time.clock_gettime((~pid << 3) | _SCHEDULED)


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


def busy_seconds() -> float:
    """CPU seconds that all cores have worked, for whomever, since the machine runs."""
    first = (_PROC / "stat").read_text("ascii").splitlines()[0].split()
    user, nice, system, _idle, _waiting, *others = map(int, first[1:8])
    return (user + nice + system + sum(others)) / _TICK


def own_seconds() -> float:
    """CPU seconds of this process and of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
