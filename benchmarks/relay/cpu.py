"""What a process and all its descendants cost, from the kernel's own counts."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

PROC = Path("/proc")
_PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024
_TICKS = os.sysconf("SC_CLK_TCK")

Spent = Mapping[int, float]
"""Seconds of CPU by process."""


def tree(root: int) -> list[int]:
    """The process and its living descendants."""
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
    """The parent that a line of /proc/PID/stat names; the program's name in it may hold spaces and brackets."""
    return int(stat.rpartition(")")[2].split()[1])


def spent(processes: Iterable[int]) -> dict[int, float]:
    """What each has used since it began, in user and kernel mode, with the threads that have ended."""
    found = {}
    for process in processes:
        with contextlib.suppress(OSError):
            # The kernel's MAKE_PROCESS_CPUCLOCK: nanoseconds, where /proc/PID/stat counts hundredths of a second.
            found[process] = time.clock_gettime((~process << 3) | 2)
    return found


def since(before: Spent, after: Spent) -> float:
    """Seconds in between; one that began in between counts from its beginning."""
    return sum(seconds - before.get(process, 0.0) for process, seconds in after.items())


def machine() -> float:
    """Seconds for which the host's cores have been busy, all together."""
    user, nice, system, _, _, irq, softirq, steal = (
        int(ticks) for ticks in (PROC / "stat").read_text().splitlines()[0].split()[1:9]
    )
    return (user + nice + system + irq + softirq + steal) / _TICKS


def resident_kib(processes: Iterable[int]) -> int:
    """The sum of their resident sets, in which a shared page counts once a process."""
    pages = 0
    for process in processes:
        with contextlib.suppress(OSError):
            pages += int((PROC / str(process) / "statm").read_text().split()[1])
    return pages * _PAGE_KIB


def proportional_kib(processes: Iterable[int]) -> int:
    """The sum of their proportional sets, in which a shared page counts once."""
    kib = 0
    for process in processes:
        with contextlib.suppress(OSError):
            lines = (PROC / str(process) / "smaps_rollup").read_text().splitlines()
            kib += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return kib
