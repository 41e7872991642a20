"""Probe whether two cores share a cache: how long one takes to read what the other has just written.

A hypervisor moves the virtual cores of a machine as it likes, and does not say what they share. Runs on two threads
depend on it: each operator reads what both have written. Which cores they run on is known only where there are two.
"""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue

import numpy as np

BYTES = 64 * 768 * 4
"""The activations of 64 tokens at ModernBERT-base's shape."""
READS = 40
OTHER, OWN = 1, 2
"""What the other core writes, and the reading one."""
SHARED = 2.2
"""Two cores share a cache if such a read takes at most so many times as long as one of the core's own writing.

On an EPYC of family 25 it takes 1.5 times with a common cache and 3.4 times without.
"""
PATIENCE_S = 5.0
"""A core that has not written by then never will."""

Probe = tuple[float, float]
"""Microseconds to read what the other core wrote, and what the same core wrote."""


def shared(probe: Probe) -> bool:
    """Return whether the cores shared a cache."""
    other, own = probe
    return other <= SHARED * own


class Prober:
    """Two cores of this process's; `probe` runs on the first, for a moment.

    `copied` is what the first has read last.
    """

    def __init__(self, first: int, second: int, patience_s: float = PATIENCE_S) -> None:
        self._first = first
        self._patience_s = patience_s
        self._lost = False
        self._shared = np.zeros(BYTES // 4, np.float32)
        self.copied = np.empty_like(self._shared)
        self._asked: SimpleQueue[int | None] = SimpleQueue()
        self._written: SimpleQueue[None] = SimpleQueue()
        self._writer = threading.Thread(target=self._write, args=(second,), daemon=True)
        self._writer.start()

    def _write(self, core: int) -> None:
        try:
            os.sched_setaffinity(0, {core})  # of this thread alone
        except OSError:
            return  # which `probe` notices
        while (value := self._asked.get()) is not None:
            self._shared.fill(value)
            self._written.put(None)

    def probe(self) -> Probe | None:
        """Return the medians of READS reads; None from the first time on that a core cannot be had."""
        if self._lost:
            return None
        before = os.sched_getaffinity(0)
        try:
            os.sched_setaffinity(0, {self._first})
            own = statistics.median(self._own() for _ in range(READS))
            other = statistics.median(self._other() for _ in range(READS))
        except (Empty, OSError):
            self._lost = True
            return None
        finally:
            os.sched_setaffinity(0, before)
        return round(other, 2), round(own, 2)

    def _other(self) -> float:
        self._asked.put(OTHER)
        self._written.get(timeout=self._patience_s)
        return self._timed()

    def _own(self) -> float:
        self._shared.fill(OWN)
        return self._timed()

    def _timed(self) -> float:
        begun = time.perf_counter()
        np.copyto(self.copied, self._shared)
        return (time.perf_counter() - begun) * 1e6

    def close(self) -> None:
        """End the writing thread."""
        self._asked.put(None)
        self._writer.join()


@contextmanager
def probing(threads: int) -> Iterator[Prober | None]:
    """Yield a prober for runs on two threads on the only two cores, else None."""
    cores = sorted(os.sched_getaffinity(0))
    if threads != 2 or len(cores) != 2:
        yield None
        return
    prober = Prober(*cores)
    try:
        yield prober
    finally:
        prober.close()
