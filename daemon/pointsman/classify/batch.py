"""The scheduler: texts that wait, and the runs that take them.

Rules:
1. There is no timer. A text that comes while a worker is idle starts at once; what comes meanwhile waits and is taken
   together by the next worker that is free. Batches grow out of load, and an idle service adds no delay.
2. First come, first served, up to `batch_tokens` a run, split over the idle workers.
3. A text whose waiters all left is dropped before it runs.
4. A failed run fails every text in it. Nothing is ever left waiting.

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

from pointsman.errors import ClassifierError, Overloaded

T = TypeVar("T")

# The cost estimate follows the host within some tens of runs, and a single slow run does not refuse anyone.
SMOOTHING = 0.1


@dataclass(eq=False, slots=True)
class Job(Generic[T]):
    """A text that waits or runs. `result` resolves to a value or a ClassifierError and is never cancelled.

    `settled` is called at that very moment, so that nobody joins a job that is over.
    """

    text: str
    tokens: int
    result: asyncio.Future[T | ClassifierError]
    settled: Callable[[T | ClassifierError], None]
    waiters: int = 0
    queued_at: float = field(default_factory=time.perf_counter)
    started_at: float = 0.0


def usable_cores() -> int:
    """The cores that this process may run on."""
    return len(os.sched_getaffinity(0))


class Batcher(Generic[T]):
    """Runs `work(texts)` on `workers` threads of `executor`."""

    def __init__(
        self,
        work: Callable[[list[str]], Sequence[T]],
        executor: Executor,
        *,
        workers: int,
        batch_tokens: int,
        seconds_per_token: float,
    ) -> None:
        self._work = work
        self._executor = executor
        self._workers = workers
        self._idle = workers
        self._batch_tokens = batch_tokens
        self._seconds_per_token = seconds_per_token
        self._queue: deque[Job[T]] = deque()
        self._pending_tokens = 0
        self.healthy = True

    @property
    def queued(self) -> int:
        """Texts that no worker has taken yet."""
        return len(self._queue)

    def estimated_wait(self, tokens: int) -> float:
        """Seconds until a text of `tokens` that came now would have its result."""
        ahead = self._pending_tokens / self._workers
        return (ahead + tokens) * self._seconds_per_token

    def submit(self, text: str, tokens: int, deadline: float, settled: Callable[[T | ClassifierError], None]) -> Job[T]:
        """Queue a text of about `tokens`; raises Overloaded when `deadline` seconds cannot be met."""
        if not self.healthy:
            raise ClassifierError("the classifier stopped")
        if self._idle == 0 and self.estimated_wait(tokens) > deadline:
            raise Overloaded(f"{len(self._queue)} texts wait")
        job: Job[T] = Job(text, tokens, asyncio.get_running_loop().create_future(), settled)
        self._queue.append(job)
        self._pending_tokens += tokens
        asyncio.get_running_loop().call_soon(self._dispatch)
        return job

    def _dispatch(self) -> None:
        while self._idle and (batch := self._take()):
            self._idle -= 1
            self._start(batch)

    def _take(self) -> list[Job[T]]:
        """The next batch: first come, first served, within this worker's share of what waits."""
        share = sum(job.tokens for job in self._queue) // self._idle
        budget = min(self._batch_tokens, share)
        batch: list[Job[T]] = []
        while self._queue and (not batch or self._queue[0].tokens <= budget):
            job = self._queue.popleft()
            if job.waiters == 0:
                self._settle(job, ClassifierError("nobody waits"))
                continue
            budget -= job.tokens
            batch.append(job)
        return batch

    def _start(self, batch: list[Job[T]]) -> None:
        now = time.perf_counter()
        for job in batch:
            job.started_at = now
        try:
            future = asyncio.get_running_loop().run_in_executor(self._executor, self._work, [job.text for job in batch])
        except RuntimeError as error:  # the executor was shut down: nothing will ever run again
            self.healthy = False
            self._finish(batch, [ClassifierError(str(error))] * len(batch))
            return
        future.add_done_callback(lambda done: self._finished(batch, done))

    def _finished(self, batch: list[Job[T]], done: asyncio.Future[Sequence[T]]) -> None:
        error = asyncio.CancelledError() if done.cancelled() else done.exception()
        if error is not None:
            self._finish(batch, [ClassifierError(f"inference failed: {error!r}")] * len(batch))
        else:
            tokens = sum(job.tokens for job in batch)
            cost = (time.perf_counter() - batch[0].started_at) / tokens
            self._seconds_per_token += SMOOTHING * (cost - self._seconds_per_token)
            self._finish(batch, done.result())
        self._dispatch()

    def _finish(self, batch: list[Job[T]], results: Sequence[T | ClassifierError]) -> None:
        self._idle += 1
        for job, result in zip(batch, results, strict=True):
            self._settle(job, result)

    def _settle(self, job: Job[T], result: T | ClassifierError) -> None:
        self._pending_tokens -= job.tokens
        job.settled(result)
        job.result.set_result(result)
