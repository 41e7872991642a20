"""Do long work in steps, so that one event loop can do other work between them.

A thread would not help: what reads JSON holds the GIL, and a loop that must take it back waits up to 5 ms each time.
"""

from __future__ import annotations

import asyncio
import functools
from collections import deque
from collections.abc import Generator
from time import perf_counter
from typing import TypeVar, cast

from pointsman.eager import in_task

T = TypeVar("T")

STEP_SECONDS = 0.0005
# Once what began in a turn of the event loop has taken this, the rest waits for later turns: in each of them twice as
# many begin as in the one before, up to MAX_AT_ONCE, or one after a turn that took longer.
MAX_BEGIN_SECONDS = 0.002
MAX_AT_ONCE = 16

Steps = Generator[None, None, T]
"""Work that yields about every half millisecond, and returns its result."""


def finish(steps: Steps[T]) -> T:
    """Return the result of all steps, without a pause."""
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return cast(T, done.value)


class Pace:
    """Tells work when to pause whose parts take from microseconds to milliseconds: nobody knows how long before."""

    __slots__ = ("_end",)

    def __init__(self) -> None:
        self._end = perf_counter() + STEP_SECONDS

    def pause(self) -> Steps[None]:
        """End the step if it has lasted long enough."""
        if perf_counter() >= self._end:
            yield
            self._end = perf_counter() + STEP_SECONDS


def paced(steps: Steps[T]) -> Steps[T]:
    """Return the result of work in shorter steps, several of which are one."""
    pace: Pace | None = None
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return cast(T, done.value)
        pace = pace or Pace()
        yield from pace.pause()


class Lane:
    """Runs long work for one event loop: a step of one at a time, so that many long bodies delay it no more than one.

    They take turns: what has few steps does not wait until others have done all of theirs.
    """

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._begun: float | None = None
        """Since when work begins in this turn of the event loop."""
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._at_once = 1
        """How many of those that wait begin in the next turn."""

    @functools.cached_property
    def _loop(self) -> asyncio.AbstractEventLoop:
        """The event loop: to look it up is a system call before Python 3.12, so it is done once."""
        return asyncio.get_running_loop()

    def begins(self) -> bool:
        """Return whether work may begin in this turn of the event loop, or waits for its `turn`.

        It waits where others wait, or where what began in this one has taken long.
        """
        if self._begun is None:
            self._plan()
            return True
        return not self._waiting and perf_counter() < self._begun + MAX_BEGIN_SECONDS

    async def turn(self) -> None:
        """Wait for those that came before, but not for the steps of work that has begun."""
        await in_task()
        if self._begun is None:  # that took until a later turn
            self._plan()
        self._waiting.append(waiter := self._loop.create_future())
        await waiter

    def _plan(self) -> None:
        self._begun = perf_counter()
        self._loop.call_soon(self._end_turn)

    def _end_turn(self) -> None:
        """Let twice as many begin in the next turn as in this one, or one where this one took long."""
        quick = self._begun is not None and perf_counter() < self._begun + MAX_BEGIN_SECONDS
        self._at_once = min(2 * self._at_once, MAX_AT_ONCE) if quick else 1
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
        await in_task()
        while True:
            async with self._turn:
                await asyncio.sleep(0)
                try:
                    next(steps)
                except StopIteration as done:
                    return cast(T, done.value)
