"""Measure CPU and memory of a process tree from the kernel's counters."""

from __future__ import annotations

import contextlib
import os
import resource
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

PROC = Path("/proc")
_PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024
_TICKS = os.sysconf("SC_CLK_TCK")

Spent = Mapping[int, float]
"""Seconds of CPU by process."""


def tree(root: int) -> list[int]:
    """Return the process and its living descendants."""
    children: dict[int, list[int]] = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                children.setdefault(parent_of((entry / "stat").read_text()), []).append(int(entry.name))
    found, left = [], [root]
    while left:
        found.append(left.pop())
        left += children.get(found[-1], [])
    return found


def parent_of(stat: str) -> int:
    """Return the parent from a line of /proc/PID/stat, where the program's name may contain spaces and brackets."""
    return int(stat.rpartition(")")[2].split()[1])


def spent(processes: Iterable[int]) -> dict[int, float]:
    """Return each process's user and kernel time since its start, including threads that have ended."""
    found = {}
    for process in processes:
        with contextlib.suppress(OSError):
            # The kernel's MAKE_PROCESS_CPUCLOCK has nanoseconds; /proc/PID/stat counts hundredths of a second.
            found[process] = time.clock_gettime((~process << 3) | 2)
    return found


def in_kernel(processes: Iterable[int]) -> dict[int, float]:
    """Return each process's kernel time since its start, in hundredths of a second."""
    found = {}
    for process in processes:
        with contextlib.suppress(OSError):
            fields = (PROC / str(process) / "stat").read_text().rpartition(")")[2].split()
            found[process] = int(fields[12]) / _TICKS
    return found


def since(before: Spent, after: Spent) -> float:
    """Return the seconds between two counts; a process that began in between counts from its start."""
    return sum(seconds - before.get(process, 0.0) for process, seconds in after.items())


def of_children() -> float:
    """Return the seconds of this process's children that have ended, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def machine() -> float:
    """Return the busy seconds of all cores of the host."""
    user, nice, system, _, _, irq, softirq, steal = (
        int(ticks) for ticks in (PROC / "stat").read_text().splitlines()[0].split()[1:9]
    )
    return (user + nice + system + irq + softirq + steal) / _TICKS


def resident_kib(processes: Iterable[int]) -> int:
    """Return the sum of resident sets, which counts shared pages once per process."""
    pages = 0
    for process in processes:
        with contextlib.suppress(OSError):
            pages += int((PROC / str(process) / "statm").read_text().split()[1])
    return pages * _PAGE_KIB


def proportional_kib(processes: Iterable[int]) -> int:
    """Return the sum of proportional sets, which counts shared pages once."""
    kib = 0
    for process in processes:
        with contextlib.suppress(OSError):
            lines = (PROC / str(process) / "smaps_rollup").read_text().splitlines()
            kib += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return kib
