"""The priorities of this process's threads, as the kernel has them."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import Counter
from pathlib import Path

OWN = os.getpriority(os.PRIO_PROCESS, os.getpid())
"""The nice value of the main thread."""


def nice_here() -> int:
    """The nice value of the calling thread."""
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def threads_at(nice: int) -> set[int]:
    """The ids of the threads whose nice value is `nice` above the main thread's."""
    found = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(ProcessLookupError):  # it has just ended
            if os.getpriority(os.PRIO_PROCESS, int(task.name)) == min(19, OWN + nice):
                found.add(int(task.name))
    return found


def cpu_by_nice() -> Counter[int]:
    """The nanoseconds of CPU that this process's threads have taken so far, by nice value above the main thread's."""
    taken: Counter[int] = Counter()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):  # it has just ended
            nice = os.getpriority(os.PRIO_PROCESS, int(task.name)) - OWN
            taken[nice] += int((task / "schedstat").read_text().split()[0])
    return taken
