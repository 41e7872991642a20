"""How the CPU time of a reader grows with its text, by the clock of the thread: what C does in one call counts, too."""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Callable, Iterator
from functools import partial

from pointsman.routing.steps import Steps

GROWTH = 2.8
"""So much longer may twice the text take: in quadratic time it is 4."""
FLOOR_S = 0.0002
RUNS = 5

Work = Callable[[], object]


@contextlib.contextmanager
def no_collection() -> Iterator[None]:
    """Let nobody else's objects be collected meanwhile."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
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


def growing(begin: Callable[[int], Work], most: int) -> str:
    """Why work takes longer than its size, empty if it does not.

    Sizes are a quarter, a half and all of `most`. A limit may lie between two of them, from which on a text is read in
    another way: what grows without bound grows at two doublings in a row.
    """
    many = least(partial(begin, most))
    if many < FLOOR_S or many < GROWTH**2 * least(partial(begin, most // 4)):
        return ""
    taken = [least(partial(begin, size), RUNS) for size in (most // 4, most // 2, most)]
    grown = [after / before for before, after in zip(taken, taken[1:], strict=False)]
    told = ", ".join([f"{seconds * 1000:.2f} ms" for seconds in taken])
    return f"{told} for a quarter, a half and all of {most} characters" if min(grown) > GROWTH else ""


def step_times(steps: Steps[object]) -> list[float]:
    """The CPU time of each step."""
    taken: list[float] = []
    going = True
    while going:
        began = time.thread_time()
        going = next(steps, steps) is not steps
        taken.append(time.thread_time() - began)
    return taken
