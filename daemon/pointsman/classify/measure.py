"""Measure the cost curve of an engine on this host, within a time budget."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate
from threading import Barrier

from pointsman.classify.cost_model import NEARLY_BEST, CostCurve

SIZES = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192)
TYPICAL = 64
"""Tokens of the run that decides the number of workers."""

# A small model is measured within a second, so that the service is ready in two; a large model gets a proportional
# budget.
BUDGET_SECONDS = 0.8
BUDGET_RUNS = 80

SHORT_SECONDS = 0.05
"""Shorter runs are repeated and the fastest counts, since disturbances only ever make a run longer."""
REPEATS = 3
SIDE_BY_SIDE_SECONDS = 0.02
"""Minimum duration of concurrent runs, so that their uneven starts and ends do not distort the result."""

GAINS_LITTLE = 0.75
"""Share of the time on one thread above which a run on all threads is doubtful."""

# With a smaller share of the cores, another process was using them, and the measurement is not worth storing.
UNDISTURBED = 0.85

Run = Callable[[int, bool], object]
"""A function that runs one prompt of this many tokens, on all threads or on one."""


@dataclass(frozen=True, slots=True)
class CurveMeasurement:
    """A measured curve; `disturbed` if the threads did not get their cores, so that it should not be stored."""

    curve: CostCurve
    disturbed: bool


@dataclass(frozen=True, slots=True)
class _ConcurrentTiming:
    seconds: float
    """Duration of one run."""
    share: float
    """Share of the requested cores that was used."""


def measure(run: Run, *, threads: int, wide: bool, max_tokens: int) -> CurveMeasurement:
    """Return the curve up to `max_tokens` tokens or the end of the budget; `wide` if `run` can use all threads."""
    started = time.perf_counter()
    typical = min(TYPICAL, max_tokens)
    run(typical, False)
    budget = BUDGET_SECONDS + BUDGET_RUNS * _alone(run, typical, wide=False)
    workers, disturbed = _workers(run, typical, threads)
    rows: list[tuple[int, float, float]] = []
    wide_s: list[float] = []
    last = 0.0
    for tokens in (*(size for size in SIZES if size < max_tokens), max_tokens):
        begun = time.perf_counter()
        if tokens > typical and begun - started + 2.5 * last > budget:  # twice the tokens, plus attention's growth
            break
        alone = _alone(run, tokens, wide=False)
        concurrent = alone if workers == 1 else _side_by_side(run, tokens, workers, alone).seconds
        rows.append((tokens, alone, concurrent))
        if wide:
            wide_s.append(_on_all_threads(run, tokens, alone))
        last = time.perf_counter() - begun
    sizes, alone_s, concurrent_s = zip(*rows, strict=True)
    curve = CostCurve(
        workers=workers,
        tokens=sizes,
        alone=tuple(accumulate(alone_s, max)),
        beside=tuple(accumulate(concurrent_s, max)),
        wide=tuple(accumulate(wide_s, max)),
    )
    return CurveMeasurement(curve, disturbed)


def _workers(run: Run, tokens: int, threads: int) -> tuple[int, bool]:
    """Return the number of workers, and whether other processes used the cores.

    It is the highest number near the best throughput, so that short prompts wait less for long ones; all threads if the
    measurement was disturbed.
    """
    alone = _alone(run, tokens, wide=False)
    counts = [*(1 << power for power in range(threads.bit_length()) if 1 << power < threads), threads]
    found = {count: _side_by_side(run, tokens, count, alone) for count in counts}
    if found[threads].share < UNDISTURBED:
        return threads, True
    rates = {count: count / concurrent.seconds for count, concurrent in found.items()}
    return max(count for count, rate in rates.items() if rate >= NEARLY_BEST * max(rates.values())), False


def _alone(run: Run, tokens: int, *, wide: bool) -> float:
    best = _timed(run, tokens, wide=wide)
    if best < SHORT_SECONDS:
        best = min(best, *(_timed(run, tokens, wide=wide) for _ in range(REPEATS - 1)))
    return best


def _on_all_threads(run: Run, tokens: int, alone: float) -> float:
    """Measure again if the gain is small: else one disturbed run would decide until the next export."""
    found = _alone(run, tokens, wide=True)
    if found > GAINS_LITTLE * alone:
        found = min(found, *(_timed(run, tokens, wide=True) for _ in range(REPEATS - 1)))
    return found


def _timed(run: Run, tokens: int, *, wide: bool) -> float:
    started = time.perf_counter()
    run(tokens, wide)
    return time.perf_counter() - started


def _side_by_side(run: Run, tokens: int, count: int, alone: float) -> _ConcurrentTiming:
    """Return the mean over `count` threads, each with at least two runs so that they overlap."""
    barrier = Barrier(count)
    runs = max(2, round(SIDE_BY_SIDE_SECONDS / alone))

    def work(_: int) -> float:
        barrier.wait()
        started = time.perf_counter()
        for _ in range(runs):
            run(tokens, False)
        return (time.perf_counter() - started) / runs

    with ThreadPoolExecutor(count) as executor:
        started, cpu = time.perf_counter(), time.process_time()
        seconds = sum(executor.map(work, range(count))) / count
        wall, used = time.perf_counter() - started, time.process_time() - cpu
    return _ConcurrentTiming(seconds, used / (wall * count))
