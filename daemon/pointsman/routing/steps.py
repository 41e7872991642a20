"""Do long work in steps, so that one event loop can do other work between them.

A thread would not help: reading JSON holds the GIL, and a loop that must take the GIL back waits up to 5 ms each time.
"""

from __future__ import annotations

import asyncio
import functools
from collections import deque
from collections.abc import Generator
from time import perf_counter
from typing import TypeVar, cast

from pointsman.eager import continue_in_task

T = TypeVar("T")

STEP_SECONDS = 0.0005
# Once work that began in this turn of the event loop has taken this long, other work waits for later turns: each turn
# begins twice as much as the one before, up to MAX_STEPS_AT_ONCE, or one after a turn that took longer.
MAX_BEGIN_SECONDS = 0.002
MAX_STEPS_AT_ONCE = 16

Steps = Generator[None, None, T]
"""Work that yields about every half millisecond, and returns its result."""


def finish(steps: Steps[T]) -> T:
    """Return the result of all steps, without a pause."""
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return cast(T, done.value)


class TimeSlice:
    """The time until work must pause whose parts take from microseconds to milliseconds, unknown before they run."""

    __slots__ = ("_end",)

    def __init__(self) -> None:
        self._end = perf_counter() + STEP_SECONDS

    def pause(self) -> Steps[None]:
        """End the step if it has lasted long enough."""
        if perf_counter() >= self._end:
            yield
            self._end = perf_counter() + STEP_SECONDS


def time_sliced(steps: Steps[T]) -> Steps[T]:
    """Return the result of work in shorter steps, several of which are one."""
    time_slice: TimeSlice | None = None
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return cast(T, done.value)
        time_slice = time_slice or TimeSlice()
        yield from time_slice.pause()


class StepScheduler:
    """A lane for the long work of one event loop: many long bodies delay the loop no more than one.

    Pieces of work take turns, one step each: short work need not wait until long work is done.
    """

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._begun: float | None = None
        """The time since which work begins in this turn of the event loop."""
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._at_once = 1
        """The number of waiting pieces of work that begin in the next turn."""

    @functools.cached_property
    def _loop(self) -> asyncio.AbstractEventLoop:
        """The event loop: looking it up is a system call before Python 3.12, so it is done once."""
        return asyncio.get_running_loop()

    def begins(self) -> bool:
        """Return whether work may begin in this turn of the event loop, or waits for its `turn`.

        Work waits if other work waits, or if work that began in this turn has taken long.
        """
        if self._begun is None:
            self._plan()
            return True
        return not self._waiting and perf_counter() < self._begun + MAX_BEGIN_SECONDS

    async def turn(self) -> None:
        """Wait for the work that came before to begin, but not for its steps."""
        await continue_in_task()
        if self._begun is None:  # the work took until a later turn
            self._plan()
        self._waiting.append(waiter := self._loop.create_future())
        await waiter

    def _plan(self) -> None:
        self._begun = perf_counter()
        self._loop.call_soon(self._end_turn)

    def _end_turn(self) -> None:
        """Let twice as much begin in the next turn as in this one, or one piece if this one took long."""
        quick = self._begun is not None and perf_counter() < self._begun + MAX_BEGIN_SECONDS
        self._at_once = min(2 * self._at_once, MAX_STEPS_AT_ONCE) if quick else 1
        self._begun = None
        if not self._waiting:
            return
        for _ in range(min(self._at_once, len(self._waiting))):
            waiter = self._waiting.popleft()
            if not waiter.done():  # it may have been cancelled
                waiter.set_result(None)
        self._plan()

    async def run(self, steps: Steps[T]) -> T:
        """Return the result of all steps; work of one step is done at once, in no task."""
        try:
            next(steps)
        except StopIteration as done:
            result: T = done.value
            return result
        await continue_in_task()
        while True:
            async with self._turn:
                await asyncio.sleep(0)
                try:
                    next(steps)
                except StopIteration as done:
                    return cast(T, done.value)
