"""Probe whether two cores share a cache: how long one takes to read what the other has just written.

A hypervisor moves the virtual cores of a machine as it likes, and does not say what they share. Runs on two threads
depend on it: each operator reads what both have written.
"""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue

import numpy as np

BYTES = 64 * 768 * 4
"""The activations of 64 tokens at ModernBERT-base's shape."""
READS = 40
SHARED = 2.2
"""Two cores share a cache if such a read takes at most so many times as long as one of the core's own writing.

On an EPYC of family 25 it takes 1.5 times with a common cache and 3.4 times without.
"""

Probe = tuple[float, float]
"""Microseconds to read what the other core wrote, and what the same core wrote."""


def shared(probe: Probe) -> bool:
    """Return whether the cores shared a cache."""
    other, own = probe
    return other <= SHARED * own


class Prober:
    """Two cores of this process's; `probe` runs on the first, for a moment."""

    def __init__(self, first: int, second: int) -> None:
        self._first = first
        self._shared = np.zeros(BYTES // 4, np.float32)
        self._read = np.empty_like(self._shared)
        self._asked: SimpleQueue[int | None] = SimpleQueue()
        self._written: SimpleQueue[None] = SimpleQueue()
        threading.Thread(target=self._write, args=(second,), daemon=True).start()

    def _write(self, core: int) -> None:
        os.sched_setaffinity(0, {core})  # of this thread alone
        while (value := self._asked.get()) is not None:
            self._shared.fill(value)
            self._written.put(None)

    def probe(self) -> Probe:
        """Return the medians of READS reads."""
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {self._first})
        try:
            other = statistics.median(self._other() for _ in range(READS))
            own = statistics.median(self._own() for _ in range(READS))
        finally:
            os.sched_setaffinity(0, before)
        return round(other, 2), round(own, 2)

    def _other(self) -> float:
        self._asked.put(1)
        self._written.get()
        return self._timed()

    def _own(self) -> float:
        self._shared.fill(2)
        return self._timed()

    def _timed(self) -> float:
        begun = time.perf_counter()
        np.copyto(self._read, self._shared)
        return (time.perf_counter() - begun) * 1e6

    def close(self) -> None:
        self._asked.put(None)


@contextmanager
def probing(threads: int) -> Iterator[Prober | None]:
    """Yield a prober for runs on so many threads, None where one core does all."""
    cores = sorted(os.sched_getaffinity(0))
    if threads < 2 or len(cores) < 2:
        yield None
        return
    prober = Prober(*cores[:2])
    try:
        yield prober
    finally:
        prober.close()
