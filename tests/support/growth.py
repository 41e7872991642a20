"""Measure the growth of a reader's CPU time with its text, by the clock of the thread, C code included."""

from __future__ import annotations

import contextlib
import gc
import itertools
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from pointsman.routing.steps import Steps

GROWTH = 2.8
"""The factor by which twice the text may take longer: in quadratic time it is 4."""
FLOOR_SECONDS = 0.0002
RUNS = 5
CONFIRMING_RUNS = 25
"""Of what seems to take too long: on a busy host the least of a few is too much."""

Work = Callable[[], object]


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Let no garbage be collected meanwhile, and no lines be counted."""
    traced = sys.gettrace()  # by coverage
    gc.collect()
    gc.disable()
    sys.settrace(None)
    try:
        yield
    finally:
        sys.settrace(traced)
        gc.enable()


def least(begin: Callable[[], Work], runs: int = 1) -> float:
    """The least CPU time of some runs; each begins anew, which does not count."""
    taken = []
    for _ in range(runs):
        work = begin()
        began = time.thread_time()
        work()
        taken.append(time.thread_time() - began)
    return min(taken)


class Growth(NamedTuple):
    """The time for the largest size; `fault` says why that is too long, and is empty if it is not."""

    seconds: float
    fault: str = ""


def growth_of(begin: Callable[[int], Work], max_size: int) -> Growth:
    """Return whether work takes longer than its size.

    Sizes are a quarter, a half and all of `max_size`. A limit may be between two of them, from which on a text is read
    in another way: unbounded time grows at two doublings in a row, and at least with its size at the one before.
    """
    many = least(partial(begin, max_size))
    if many < FLOOR_SECONDS or many < GROWTH**2 * least(partial(begin, max_size // 4), 2):
        return Growth(many)
    sizes = (max_size // 8, max_size // 4, max_size // 2, max_size)
    for runs in (RUNS, CONFIRMING_RUNS):
        # In turn, as a host may be half as fast for some milliseconds.
        rounds = [[least(partial(begin, size)) for size in sizes] for _ in range(runs)]
        taken = [min(times) for times in zip(*rounds, strict=True)]
        grown = [after / before for before, after in itertools.pairwise(taken)]
        if min(grown[1:]) <= GROWTH or taken[-1] <= 2 * GROWTH**2 * taken[0]:
            return Growth(taken[-1])
    times = ", ".join([f"{seconds * 1000:.2f} ms" for seconds in taken])
    return Growth(taken[-1], f"{times} for an eighth to all of {max_size} characters")


def step_times(steps: Steps[object]) -> list[float]:
    """The CPU time of each step."""
    taken: list[float] = []
    going = True
    while going:
        began = time.thread_time()
        going = next(steps, steps) is not steps
        taken.append(time.thread_time() - began)
    return taken
