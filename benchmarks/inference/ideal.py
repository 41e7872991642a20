"""Bound the wait for a worker from below, by the simulation of two servers that are better than any real one.

Of one nothing but classifications takes time, on this host by its cost curve. The other has the capacity that was
measured, and loses none of it: a queue of random arrivals, each of which takes a worker for the same time.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from target import median

from pointsman.classify.cost_model import CostCurve, interpolate


@dataclass(slots=True)
class _TimedRun:
    arrived: list[float]
    alone: float
    """Seconds while nothing else runs."""
    concurrent: float
    """Seconds while another run is in progress."""
    done: float = 0.0
    """Share of the run that is over."""


def poisson(rate: float, seconds: float) -> list[float]:
    """Return the times of the arrivals that `load.open_loop` makes."""
    arrivals = random.Random(0)
    times, now = [], 0.0
    while (now := now + arrivals.expovariate(rate)) < seconds:
        times.append(now)
    return times


def beyond_class_ms(curve: CostCurve, alone: float, tokens: int, arrivals: Sequence[float]) -> float:
    """Return the milliseconds at p50 beyond `alone`, the seconds of the class of a text of `tokens` on an idle host.

    It is the better of two servers: texts that wait together share a run, or each has one of its own.
    """
    own = max(0.0, alone - idle_seconds(curve, tokens))
    shared = max(1, curve.batch_tokens // tokens)
    medians = [median(answered(curve, own, tokens, arrivals, max_texts)) for max_texts in {1, shared}]
    return max(0.0, 1000 * (min(medians) - alone))


def of_capacity(workers: int, tokens: int, alone: float, capacity: float) -> CostCurve:
    """Return the curve of a server that answers `capacity` texts a second, and a lone one in `alone` seconds."""
    return CostCurve(workers=workers, tokens=(tokens,), alone=(alone,), beside=(workers / capacity,), wide=())


def idle_seconds(curve: CostCurve, tokens: int) -> float:
    """Return the seconds of a run that has the host for itself."""
    narrow = interpolate(curve.tokens, curve.alone, tokens)
    return min(narrow, curve.seconds(tokens, wide=True)) if curve.wide else narrow


def answered(curve: CostCurve, own: float, tokens: int, arrivals: Sequence[float], max_texts: int) -> list[float]:
    """Return the seconds from each arrival to its answer, in order of the answers.

    As soon as a worker is free, it takes its part of the texts that wait, up to `max_texts`. A run takes `own` seconds
    and those of the curve; for as long as it is the only one, it has the host for itself.
    """
    coming, waiting = deque(arrivals), deque[float]()
    running: list[_TimedRun] = []
    found: list[float] = []
    now = 0.0
    while coming or running:
        seconds = [run.alone if len(running) == 1 else run.concurrent for run in running]
        ends = [now + (1 - run.done) * whole for run, whole in zip(running, seconds, strict=True)]
        until = min([*ends, *([coming[0]] if coming else [])])
        for run, whole in zip(running, seconds, strict=True):
            run.done += (until - now) / whole
        now = until
        if ends and until == min(ends):
            ended = running.pop(ends.index(until))
            found += [now - arrival for arrival in ended.arrived]
        else:
            waiting.append(coming.popleft())
        while waiting and len(running) < curve.workers:
            part = -(-len(waiting) // (curve.workers - len(running)))
            batch = [waiting.popleft() for _ in range(min(max_texts, part))]
            alone = own + idle_seconds(curve, len(batch) * tokens)
            running.append(_TimedRun(batch, alone, own + curve.seconds(len(batch) * tokens)))
    return found
