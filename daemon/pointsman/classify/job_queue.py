"""The texts of one kind, short or long: those that wait, and the runs that took some."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Generic, TypeVar

from pointsman.classify.cost_model import SURPRISE, SlowdownTracker
from pointsman.errors import ClassifierError

T = TypeVar("T")
W = TypeVar("W")

# A run hangs if it is this long past the worst prediction.
HUNG_SECONDS = 10.0


@dataclass(eq=False, slots=True)
class Job(Generic[W, T]):
    """A text that waits or runs; `result` resolves to a value or a ClassifierError and is never canceled.

    `settled` is called when the job ends, so that no other text joins a finished job. `seconds` is its share of the
    predicted duration of its run, and `deadline` is in seconds from `queued_at`.
    """

    text: W
    tokens: int
    seconds: float
    deadline: float
    result: asyncio.Future[T | ClassifierError]
    settled: Callable[[T | ClassifierError], None]
    queued_at: float
    waiters: int = 0
    started_at: float = 0.0

    def settle(self, result: T | ClassifierError) -> None:
        """End the job."""
        self.settled(result)
        self.result.set_result(result)


@dataclass(frozen=True, eq=False, slots=True)
class Run(Generic[W, T]):
    """A running batch; `seconds` is the curve's prediction, `wide` means on all threads."""

    batch: list[Job[W, T]]
    wide: bool
    tokens: int
    seconds: float
    started_at: float


class JobQueue(Generic[W, T]):
    """Jobs in order of arrival, with the sums of their tokens and seconds, and the runs on `executor`."""

    __slots__ = ("executor", "jobs", "running", "seconds", "slowdown", "tokens")

    def __init__(self, executor: Executor) -> None:
        self.executor = executor
        self.jobs: deque[Job[W, T]] = deque()
        self.running: set[Run[W, T]] = set()
        self.slowdown = SlowdownTracker()
        self.tokens = 0
        self.seconds = 0.0

    def push(self, job: Job[W, T]) -> None:
        self.jobs.append(job)
        self.tokens += job.tokens
        self.seconds += job.seconds

    def pop(self) -> Job[W, T]:
        job = self.jobs.popleft()
        self.tokens -= job.tokens
        self.seconds = self.seconds - job.seconds if self.jobs else 0.0  # reset, so that rounding errors do not add up
        return job

    def drop_abandoned(self) -> int:
        """End the first jobs as long as nobody waits for them; return their number."""
        dropped = 0
        while self.jobs and self.jobs[0].waiters == 0:
            self.pop().settle(ClassifierError("all clients have gone"))
            dropped += 1
        return dropped

    def ahead(self, now: float) -> float:
        """Return the estimated seconds of work that is queued or running."""
        slowdown = self.slowdown.factor
        left = (max(0.0, slowdown * run.seconds - (now - run.started_at)) for run in self.running)
        return sum(left) + slowdown * self.seconds

    def hangs(self, now: float) -> bool:
        """Return whether a run is far beyond its prediction."""
        worst = SURPRISE * self.slowdown.factor
        return any(now - run.started_at >= HUNG_SECONDS + worst * run.seconds for run in self.running)
