"""Create the threads that run the graph, below the priority of the event loop."""

from __future__ import annotations

import contextlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor

# The kernel gives a thread 1.25 times the CPU of one whose nice value is higher by one, if both want the same core: the
# event loop has 3 times that of a short text, which has 3 times that of a long one.
NICE_SHORT = 5
NICE_LONG = 10
NICE_BACKGROUND = 14


def workers(count: int, *, nice: int, name: str) -> ThreadPoolExecutor:
    """Return up to `count` threads with this nice value above the process's own."""
    return ThreadPoolExecutor(count, thread_name_prefix=name, initializer=lower_priority, initargs=(nice,))


def lower_priority(nice: int) -> None:
    """Add `nice` to the nice value of the calling thread, which the threads that it starts inherit.

    On Linux each thread has a nice value of its own, of at most 19. It cannot be lowered again without a privilege.
    """
    with contextlib.suppress(OSError):  # a sandbox may forbid it
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, os.getpid()) + nice)
