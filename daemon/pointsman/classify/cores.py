"""Count the cores that this process may use, and choose how many the classifier takes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUP = Path("/proc/self/cgroup")

# The host is meant for vLLM. Two threads keep a short text from waiting for a long one, and beyond eight the event loop
# is the bottleneck.
SHARE = 4
MIN_THREADS = 2
MAX_THREADS = 8


def usable_cores() -> int:
    """Return the whole cores that affinity and the `cpu.max` of all cgroups above this process allow, at least 1."""
    return max(1, int(min(len(os.sched_getaffinity(0)), *_quotas(), os.cpu_count() or 1)))


def default_threads(cores: int) -> int:
    """Return the classifier's threads on a host that lets this process use `cores`."""
    return min(cores, MAX_THREADS, max(MIN_THREADS, cores // SHARE))


def _quotas() -> Iterator[float]:
    """Yield the cores that each cgroup with a limit allows; nothing under version 1 of cgroups."""
    with suppress(OSError):
        for line in OWN_CGROUP.read_text("utf-8", "replace").splitlines():
            if line.startswith("0::/"):
                own = CGROUPS / line.removeprefix("0::/")
                yield from map(_quota, (own, *own.parents))


def _quota(folder: Path) -> float:
    with suppress(OSError, ValueError, ZeroDivisionError):  # `max` is not a number; there is no file above the mount
        quota, period = (folder / "cpu.max").read_text("ascii").split()
        return int(quota) / int(period)
    return float("inf")
