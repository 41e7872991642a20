"""Schedule texts: a queue, and the runs that take texts from it.

Rules:
1. There is no timer. A text that arrives while a worker is idle starts at once; later texts wait, and the next free
   worker takes them together. Batches grow with load, and an idle service adds no delay.
2. First come, first served, up to `batch_tokens` a run, split over the idle workers; a longer text runs alone. While
   others wait, one worker takes no text that would hold it for LONG_S or more.
3. A long enough text that is alone on an idle host runs on all threads. If such a run was slower than one thread would
   be, other processes have the cores, and runs stay on one thread for as long as that run took, or for twice the last
   period if it happens again.
4. A text whose waiters have all left is dropped before it runs.
5. A failed run fails every text in it. No text is ever left waiting.
6. A text is refused if it would wait for more than half of the deadline that its own run leaves. The first text for an
   idle worker does not wait.

All state belongs to the event loop; a worker thread gets a list of texts and returns a list of results.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from pointsman.classify.cost_model import SURPRISE, Curve, Pace
from pointsman.errors import ClassifierError, Overloaded

T = TypeVar("T")

# Share of the slack that a text may spend waiting. Estimates are off by half where other processes use the same cores,
# and 99 in 100 admitted texts must be in time; a shorter queue keeps the workers as busy.
WAIT_SHARE = 0.5
# Texts that take longer than this count as long. With a lower bound, fewer workers serve the texts in between, out of
# order: the median of a mix falls, but its p95 doubles.
LONG_S = 0.5
# Maximum time for which runs stay on one thread after other processes were seen to use the cores.
CROWDED_S = 1.0
# A run hangs if it is this long past the worst prediction.
HUNG_S = 10.0


@dataclass(eq=False, slots=True)
class Job(Generic[T]):
    """A text that waits or runs; `result` resolves to a value or a ClassifierError and is never cancelled.

    `settled` is called when the job ends, so that no other text joins a finished job. `seconds` is its share of the
    predicted duration of its run.
    """

    text: str
    tokens: int
    seconds: float
    result: asyncio.Future[T | ClassifierError]
    settled: Callable[[T | ClassifierError], None]
    waiters: int = 0
    queued_at: float = field(default_factory=time.perf_counter)
    started_at: float = 0.0


@dataclass(slots=True)
class Counts:
    """Counts so far; `tokens` are estimated from the texts, as everywhere in this module."""

    runs: int = 0
    texts: int = 0
    tokens: int = 0
    shed: int = 0
    dropped: int = 0


class _Lane(Generic[T]):
    """Jobs in order of arrival, with the sums of their tokens and seconds."""

    __slots__ = ("jobs", "seconds", "tokens")

    def __init__(self) -> None:
        self.jobs: deque[Job[T]] = deque()
        self.tokens = 0
        self.seconds = 0.0

    def push(self, job: Job[T]) -> None:
        self.jobs.append(job)
        self.tokens += job.tokens
        self.seconds += job.seconds

    def pop(self) -> Job[T]:
        job = self.jobs.popleft()
        self.tokens -= job.tokens
        self.seconds = self.seconds - job.seconds if self.jobs else 0.0  # reset, so that rounding errors do not add up
        return job


@dataclass(frozen=True, eq=False, slots=True)
class _Run(Generic[T]):
    """A running batch; `seconds` is the curve's prediction, `wide` means on all threads."""

    batch: list[Job[T]]
    long: bool
    wide: bool
    tokens: int
    seconds: float
    started_at: float

    def left(self, now: float, pace: float) -> float:
        """Return the estimated seconds until the run ends."""
        return max(0.0, pace * self.seconds - (now - self.started_at))


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


class Batcher(Generic[T]):
    """Run `work` on the threads of `executor`, which has `curve.workers` of them.

    `work` gets texts and whether it may use all threads, and returns a result for each text.
    """

    def __init__(
        self, work: Callable[[list[str], bool], Sequence[T]], executor: Executor, curve: Curve, *, batch_tokens: int
    ) -> None:
        self._work = work
        self._executor = executor
        self._curve = curve
        self._batch_tokens = batch_tokens
        self._seconds_per_token = curve.seconds(batch_tokens) / batch_tokens
        self._wide_from = curve.wide_from
        self._workers = curve.workers
        self._pause = self._narrow_until = 0.0
        """Length of the last period without wide runs, halved by each wide run in time, and the end of that period."""
        self._pace = Pace()
        self._short: _Lane[T] = _Lane()
        self._long: _Lane[T] = _Lane()
        self._running: set[_Run[T]] = set()
        self.counts = Counts()
        self._stopped = False

    @property
    def healthy(self) -> bool:
        """Return False after the executor was shut down, and while a worker hangs."""
        if self._stopped:
            return False
        now, pace = time.perf_counter(), self._pace.factor
        return all(now - run.started_at < HUNG_S + SURPRISE * pace * run.seconds for run in self._running)

    @property
    def queued(self) -> int:
        """Return the number of texts that no worker has taken yet."""
        return len(self._short.jobs) + len(self._long.jobs)

    def estimated_wait(self, tokens: int) -> float:
        """Return the estimated seconds until a worker takes a text of `tokens` that arrives now.

        At the latest, the first worker is free after its share of all work ahead. One worker takes no long texts, so a
        short text waits there for at most the short ones ahead, and a long text has one worker less.
        """
        now, pace = time.perf_counter(), self._pace.factor
        short = [run.left(now, pace) for run in self._running if not run.long]
        long = [run.left(now, pace) for run in self._running if run.long]
        all_short = sum(short) + pace * self._short.seconds
        all_long = sum(long) + pace * self._long.seconds
        wait = (all_short + all_long) / self._workers
        if self._workers == 1:
            return wait
        if self._is_long(tokens):
            return max(wait, all_long / (self._workers - 1))
        return min(wait, all_short + (min(long) if len(long) == self._workers else 0.0))

    def submit(self, text: str, tokens: int, deadline: float, settled: Callable[[T | ClassifierError], None]) -> Job[T]:
        """Queue a text of about `tokens`; raises Overloaded if `deadline` seconds cannot be met."""
        if not self.healthy:
            raise ClassifierError("the classifier stopped")
        long = self._is_long(tokens)
        if self.queued or len(self._running) == self._workers:
            shared = min(self._short.tokens + tokens, self._batch_tokens)
            run = self._pace.factor * self._curve.seconds(max(tokens, shared))
            if self.estimated_wait(tokens) > WAIT_SHARE * (deadline - run):
                self.counts.shed += 1
                raise Overloaded(f"{self.queued} texts are waiting")
        loop = asyncio.get_running_loop()
        by_itself = tokens > self._batch_tokens
        seconds = self._curve.seconds(tokens) if by_itself else tokens * self._seconds_per_token
        job: Job[T] = Job(text, tokens, seconds, loop.create_future(), settled)
        (self._long if long else self._short).push(job)
        loop.call_soon(self._dispatch)
        return job

    def _is_long(self, tokens: int) -> bool:
        return tokens > self._batch_tokens and self._curve.seconds(tokens) >= LONG_S

    def _dispatch(self) -> None:
        while len(self._running) < self._workers and (batch := self._take()):
            self._start(batch)

    def _take(self) -> list[Job[T]]:
        """Return the next batch; empty if nothing is waiting."""
        self._drop(self._long)
        self._drop(self._short)
        if self._long_is_next():
            return [self._long.pop()]
        share = self._short.tokens // (self._workers - len(self._running))
        budget = min(self._batch_tokens, share)
        batch: list[Job[T]] = []
        while self._short.jobs and (not batch or self._short.jobs[0].tokens <= budget) and not self._long_is_next():
            job = self._short.pop()
            budget -= job.tokens
            batch.append(job)
            self._drop(self._short)
        return batch

    def _long_is_next(self) -> bool:
        if not self._long.jobs or not self._short.jobs:
            return bool(self._long.jobs)
        taken = sum(run.long for run in self._running)
        allowed = taken < self._workers - 1 or self._workers == 1
        return allowed and self._long.jobs[0].queued_at < self._short.jobs[0].queued_at

    def _drop(self, lane: _Lane[T]) -> None:
        while lane.jobs and lane.jobs[0].waiters == 0:
            self.counts.dropped += 1
            _settle(lane.pop(), ClassifierError("all clients have gone"))

    def _start(self, batch: list[Job[T]]) -> None:
        now = time.perf_counter()
        for job in batch:
            job.started_at = now
        tokens = sum(job.tokens for job in batch)
        alone = not self._running and not self.queued
        wide = alone and self._wide_from is not None and tokens >= self._wide_from and now >= self._narrow_until
        run = _Run(batch, self._is_long(tokens), wide, tokens, self._curve.seconds(tokens, wide=wide), now)
        self._running.add(run)
        self.counts.runs += 1
        self.counts.texts += len(batch)
        self.counts.tokens += tokens
        texts = [job.text for job in batch]
        try:
            future = asyncio.get_running_loop().run_in_executor(self._executor, self._work, texts, wide)
        except RuntimeError as error:  # the executor was shut down, so nothing will run again
            self._stopped = True
            self._finish(run, [ClassifierError(str(error))] * len(batch))
            return
        future.add_done_callback(lambda done: self._finished(run, done))

    def _finished(self, run: _Run[T], done: asyncio.Future[Sequence[T]]) -> None:
        error = asyncio.CancelledError() if done.cancelled() else done.exception()
        if error is not None:
            self._finish(run, [ClassifierError(f"inference failed: {error!r}")] * len(run.batch))
        else:
            now = time.perf_counter()
            taken = now - run.started_at
            self._pace.observe(run.seconds, taken)
            if run.wide and taken > self._curve.seconds(run.tokens):
                self._pause = min(max(taken, 2 * self._pause), CROWDED_S)
                self._narrow_until = now + self._pause
            elif run.wide:
                self._pause /= 2
            self._finish(run, done.result())
        self._dispatch()

    def _finish(self, run: _Run[T], results: Sequence[T | ClassifierError]) -> None:
        self._running.remove(run)
        for job, result in zip(run.batch, results, strict=True):
            _settle(job, result)


def _settle(job: Job[T], result: T | ClassifierError) -> None:
    job.settled(result)
    job.result.set_result(result)
