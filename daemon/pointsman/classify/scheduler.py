"""Schedule texts: two queues, and the runs that take texts from them.

Rules:
1. There is no timer. A text that arrives while a worker is idle starts at once; later texts wait, and the next free
   worker takes them together. Batches grow with load, and an idle service adds no delay.
2. Short texts: first come, first served, up to `batch_tokens` a run, split over the idle workers.
3. A text that would hold a worker for LONG_SECONDS or more is long, and runs alone, on a thread of a lower priority.
   Long texts take every worker while no short one waits, and a short one that arrives then starts beside them: the
   kernel gives it most of the core. One long text may run whatever the short ones do, so that they cannot starve it.
4. A long text is cut when it starts, to what runs in half of the time that it has left, at the current speed.
5. A long enough text that is alone on an idle host runs on all threads. If such a run was slower than one thread would
   be, other processes have the cores, and runs stay on one thread for as long as that run took, or for twice the last
   period if it happens again.
6. A text whose waiters have all left is dropped before it runs.
7. A failed run fails every text in it. No text is ever left waiting.
8. A text is refused if it would wait for more than half of the deadline, or, if it is short and so is not cut, of what
   its own run leaves of the deadline. The first text for an idle worker does not wait.

All state belongs to the event loop; a worker thread gets a list of texts and returns a list of results. There is no
task: submissions and completions start the next run.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Generic, TypeVar

from pointsman.classify.cost_model import CostCurve
from pointsman.classify.job_queue import Job, JobQueue, Run
from pointsman.classify.manifest import MAX_TOKENS
from pointsman.errors import ClassifierError, Overloaded

T = TypeVar("T")
W = TypeVar("W")

# Share of the slack that a text may spend waiting. Estimates are off by half if other processes use the same cores, and
# 99 in 100 admitted texts must be in time; a shorter queue keeps the workers as busy.
WAIT_SHARE = 0.5
RUN_SHARE = 0.5
"""Share of the remaining time that the run of a long text may take, by the same estimates."""
# A short text waits at most this long for another short one.
LONG_SECONDS = 0.05
# Maximum time for which runs stay on one thread after other processes were seen to use the cores.
CROWDED_SECONDS = 1.0


@dataclass(slots=True)
class BatchCounts:
    """Counts so far; `tokens` are estimated from the texts, as everywhere in this module."""

    runs: int = 0
    texts: int = 0
    tokens: int = 0
    shed: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class Threads:
    """Executors with at least `curve.workers` threads each, those for long texts at a lower priority."""

    short: Executor
    long: Executor


class Batcher(Generic[W, T]):
    """A scheduler that runs `work` on `threads`.

    `work` gets texts (W, whatever a text is to it), whether it may use all threads, and how many tokens of each text it
    may read. It returns a result, or an error, for each text.
    """

    def __init__(
        self,
        work: Callable[[list[W], bool, int], Sequence[T | ClassifierError]],
        threads: Threads,
        curve: CostCurve,
        *,
        batch_tokens: int,
    ) -> None:
        self._work = work
        self._curve = curve
        self._batch_tokens = batch_tokens
        self._seconds_per_token = curve.seconds(batch_tokens) / batch_tokens
        self._wide_from = curve.wide_from
        self._workers = curve.workers
        self._pause = self._narrow_until = 0.0
        """Length of the last period without wide runs, halved by each wide run in time, and the end of that period."""
        self._short: JobQueue[W, T] = JobQueue(threads.short)
        self._long: JobQueue[W, T] = JobQueue(threads.long)
        self.counts = BatchCounts()
        self._stopped = False

    @property
    def healthy(self) -> bool:
        """Return False after an executor was shut down, and while a worker hangs."""
        now = time.perf_counter()
        return not (self._stopped or self._short.hangs(now) or self._long.hangs(now))

    @property
    def queued(self) -> int:
        """Return the number of texts that no worker has taken yet."""
        return len(self._short.jobs) + len(self._long.jobs)

    def estimated_wait(self, tokens: int) -> float:
        """Return the estimated seconds until a worker takes a text of `tokens` that arrives now.

        At the latest, the first worker is free after its share of all work ahead. Short texts wait only for short ones.
        """
        now = time.perf_counter()
        ahead = self._short.ahead(now)
        if self._is_long(tokens):
            ahead += self._long.ahead(now)
        return ahead / self._workers

    def submit(
        self, text: W, tokens: int, deadline: float, settled: Callable[[T | ClassifierError], None]
    ) -> Job[W, T]:
        """Queue a text of about `tokens`; raises Overloaded if `deadline` seconds cannot be met."""
        if not self.healthy:
            raise ClassifierError("the classifier stopped")
        queue = self._long if self._is_long(tokens) else self._short
        if len(queue.jobs) >= self._idle(queue):
            slack = deadline if queue is self._long else deadline - self._predicted(tokens)
            if self.estimated_wait(tokens) > WAIT_SHARE * slack:
                self.counts.shed += 1
                raise Overloaded(f"{self.queued} texts are waiting")
        loop = asyncio.get_running_loop()
        by_itself = tokens > self._batch_tokens
        seconds = self._curve.seconds(tokens) if by_itself else tokens * self._seconds_per_token
        job: Job[W, T] = Job(text, tokens, seconds, deadline, loop.create_future(), settled, time.perf_counter())
        queue.push(job)
        loop.call_soon(self._dispatch)
        return job

    def _predicted(self, tokens: int) -> float:
        """Return the seconds of the run that a short text which arrives now will share."""
        shared = min(self._short.tokens + tokens, self._batch_tokens)
        return self._short.slowdown.factor * self._curve.seconds(max(tokens, shared))

    def _is_long(self, tokens: int) -> bool:
        return tokens > self._batch_tokens and self._curve.seconds(tokens) >= LONG_SECONDS

    def _idle(self, queue: JobQueue[W, T]) -> int:
        """Return the number of runs that the queue may start now."""
        short, long = len(self._short.running), len(self._long.running)
        return self._workers - short if queue is self._short else max(self._workers - short - long, 1 - long)

    def _dispatch(self) -> None:
        for queue in (self._short, self._long):
            while self._idle(queue) > 0 and (batch := self._take(queue)):
                self._start(queue, batch)

    def _take(self, queue: JobQueue[W, T]) -> list[Job[W, T]]:
        """Return the next batch; empty if nothing is waiting."""
        self.counts.dropped += queue.drop_abandoned()
        if queue is self._long:
            return [queue.pop()] if queue.jobs else []
        share = queue.tokens // self._idle(queue)
        budget = min(self._batch_tokens, share)
        batch: list[Job[W, T]] = []
        while queue.jobs and (not batch or queue.jobs[0].tokens <= budget):
            job = queue.pop()
            budget -= job.tokens
            batch.append(job)
            self.counts.dropped += queue.drop_abandoned()
        return batch

    def _start(self, queue: JobQueue[W, T], batch: list[Job[W, T]]) -> None:
        now = time.perf_counter()
        for job in batch:
            job.started_at = now
        limit = self._limit(batch[0], now) if queue is self._long else MAX_TOKENS
        tokens = min(limit, sum(job.tokens for job in batch))
        alone = not (self._short.running or self._long.running or self.queued)
        wide = alone and self._wide_from is not None and tokens >= self._wide_from and now >= self._narrow_until
        run = Run(batch, wide, tokens, self._curve.seconds(tokens, wide=wide), now)
        queue.running.add(run)
        self.counts.runs += 1
        self.counts.texts += len(batch)
        self.counts.tokens += tokens
        texts = [job.text for job in batch]
        try:
            future = asyncio.get_running_loop().run_in_executor(queue.executor, self._work, texts, wide, limit)
        except RuntimeError as error:  # the executor was shut down, so nothing will run again
            self._stopped = True
            self._finish(queue, run, [ClassifierError(str(error))] * len(batch))
            return
        future.add_done_callback(lambda done: self._finished(queue, run, done))

    def _limit(self, job: Job[W, T], now: float) -> int:
        """Return the tokens that can be read in the remaining time."""
        left = max(0.0, job.queued_at + job.deadline - now)
        return self._curve.longest(RUN_SHARE * left / self._long.slowdown.factor)

    def _finished(
        self, queue: JobQueue[W, T], run: Run[W, T], done: asyncio.Future[Sequence[T | ClassifierError]]
    ) -> None:
        error = asyncio.CancelledError() if done.cancelled() else done.exception()
        if error is not None:
            self._finish(queue, run, [ClassifierError(f"inference failed: {error!r}")] * len(run.batch))
        else:
            self._observe(queue, run)
            self._finish(queue, run, done.result())
        self._dispatch()

    def _observe(self, queue: JobQueue[W, T], run: Run[W, T]) -> None:
        now = time.perf_counter()
        taken = now - run.started_at
        queue.slowdown.observe(run.seconds, taken)
        if run.wide and taken > self._curve.seconds(run.tokens):
            self._pause = min(max(taken, 2 * self._pause), CROWDED_SECONDS)
            self._narrow_until = now + self._pause
        elif run.wide:
            self._pause /= 2

    def _finish(self, queue: JobQueue[W, T], run: Run[W, T], results: Sequence[T | ClassifierError]) -> None:
        queue.running.remove(run)
        for job, result in zip(run.batch, results, strict=True):
            job.settle(result)
