"""The scheduler: texts that wait, and the runs that take them.

Rules:
1. There is no timer. A text that comes while a worker is idle starts at once; what comes meanwhile waits and is taken
   together by the next worker that is free. Batches grow out of load, and an idle service adds no delay.
2. First come, first served, up to `batch_tokens` a run, split over the idle workers; a text above that runs alone.
   While others wait, one worker takes none of those that would hold it for LONG_S or more.
3. A text that is alone on an idle host, and long enough for it, runs on all threads; not for a while after such a run
   was slower than one thread is, since others have the cores then: for as long as it took, and for twice as long as the
   last time where it happens again.
4. A text whose waiters all left is dropped before it runs.
5. A failed run fails every text in it. Nothing is ever left waiting.
6. A text is refused when it would wait for more than half of what its own run leaves of the deadline. The first text
   that comes to an idle worker waits for nothing.

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

# Of the time that a text can wait. Estimates err by half where other processes want the same cores, and 99 in 100 of
# those that are admitted are to be in time; a shorter queue keeps the workers as busy.
WAIT_SHARE = 0.5
# Less than this a text may make the others wait for it. With a lower bound those in between are served out of turn, by
# fewer workers than there are: the median of a mix falls, and its p95 rises twice over.
LONG_S = 0.5
# The longest time for which runs stay on one thread once others were seen to have the cores.
CROWDED_S = 1.0
# A run that is so much later than a surprise can make it hangs.
HUNG_S = 10.0


@dataclass(eq=False, slots=True)
class Job(Generic[T]):
    """A text that waits or runs. `result` resolves to a value or a ClassifierError and is never cancelled.

    `settled` is called at that very moment, so that nobody joins a job that is over. `seconds` are its share of the run
    that it will be part of, as the curve says.
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
    """What happened so far; `tokens` are those that were guessed from the texts, as are all in this module."""

    runs: int = 0
    texts: int = 0
    tokens: int = 0
    shed: int = 0
    dropped: int = 0


class _Lane(Generic[T]):
    """Jobs in order of arrival, with their tokens and seconds together."""

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
        self.seconds = self.seconds - job.seconds if self.jobs else 0.0  # no rounding errors add up
        return job


@dataclass(frozen=True, eq=False, slots=True)
class _Run(Generic[T]):
    """`seconds` are what the curve says; `wide`: on all threads."""

    batch: list[Job[T]]
    long: bool
    wide: bool
    tokens: int
    seconds: float
    started_at: float

    def left(self, now: float, pace: float) -> float:
        """Seconds until it will have ended."""
        return max(0.0, pace * self.seconds - (now - self.started_at))


def usable_cores() -> int:
    """The cores that this process may run on."""
    return len(os.sched_getaffinity(0))


class Batcher(Generic[T]):
    """Runs `work` on the threads of `executor`, of which there are `curve.workers`.

    `work` is given texts and whether it may use all threads, and gives a result for each.
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
        """For how long runs were kept on one thread at last, halved by each that was in time since; and until when."""
        self._pace = Pace()
        self._short: _Lane[T] = _Lane()
        self._long: _Lane[T] = _Lane()
        self._running: set[_Run[T]] = set()
        self.counts = Counts()
        self._stopped = False

    @property
    def healthy(self) -> bool:
        """False once nothing will run any more, and while a worker hangs."""
        if self._stopped:
            return False
        now, pace = time.perf_counter(), self._pace.factor
        return all(now - run.started_at < HUNG_S + SURPRISE * pace * run.seconds for run in self._running)

    @property
    def queued(self) -> int:
        """Texts that no worker has taken yet."""
        return len(self._short.jobs) + len(self._long.jobs)

    def estimated_wait(self, tokens: int) -> float:
        """Seconds until a worker would take a text of `tokens` that came now.

        The first worker is free after its share of all that is ahead, at the latest. One worker leaves the long texts
        to the others, so that a short one has at most its own kind before it there, and a long one shares less workers.
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
        """Queue a text of about `tokens`; raises Overloaded when `deadline` seconds cannot be met."""
        if not self.healthy:
            raise ClassifierError("the classifier stopped")
        long = self._is_long(tokens)
        if self.queued or len(self._running) == self._workers:
            shared = min(self._short.tokens + tokens, self._batch_tokens)
            run = self._pace.factor * self._curve.seconds(max(tokens, shared))
            if self.estimated_wait(tokens) > WAIT_SHARE * (deadline - run):
                self.counts.shed += 1
                raise Overloaded(f"{self.queued} texts wait")
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
        """The next batch; empty when nothing waits."""
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
            _settle(lane.pop(), ClassifierError("nobody waits"))

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
        except RuntimeError as error:  # the executor was shut down: nothing will ever run again
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
